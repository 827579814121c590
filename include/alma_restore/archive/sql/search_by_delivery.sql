-- Which MOUSs were delivered since :since and up to (:last, :last_uid), the latest first? A page goes on behind the last
-- row of the one before. The same guess as in delivered_mous.sql. Oracle reads only what is fetched.
SELECT /*+ FIRST_ROWS(50) */ change.STATUS_ENTITY_ID AS mous_uid, change."TIMESTAMP" AS delivered_at
  FROM ALMA.STATE_CHANGES change
 WHERE change."TIMESTAMP" >= :since
   AND change."TIMESTAMP" <= :last
   AND (change."TIMESTAMP" < :last OR change.STATUS_ENTITY_ID < :last_uid)
   AND RTRIM(change.DOMAIN_ENTITY_STATE) = 'Delivered'
 ORDER BY change."TIMESTAMP" DESC, change.STATUS_ENTITY_ID DESC
