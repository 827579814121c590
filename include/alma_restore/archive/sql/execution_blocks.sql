-- What are the QA0 verdict, the session and the start of these execution blocks? Source: DOMAIN section 4.
SELECT eb.EXECBLOCKUID AS eb_uid, eb.QA0STATUS AS qa0, eb.SESSIONID AS session_id, eb.STARTTIME AS started
  FROM ALMA.AQUA_EXECBLOCK eb
 WHERE eb.EXECBLOCKUID IN (:eb_uids)
