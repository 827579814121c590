-- Which MOUSs observed the sources whose name begins so, in order of name? A page goes on
-- behind (:last, :last_uid), the last row of the one before; names end before :past. Oracle reads only what is fetched.
-- Source: seed 1, "The AAT/PPI Front End".
-- Source: DOMAIN section 3.
SELECT /*+ FIRST_ROWS(50) */ science.MEMBER_OUSS_ID AS mous_uid, science.SOURCE_NAME AS name
  FROM ALMA.ASA_SCIENCE science
 WHERE science.SOURCE_NAME >= :last
   AND science.SOURCE_NAME < :past
   AND (science.SOURCE_NAME > :last OR science.MEMBER_OUSS_ID > :last_uid)
 ORDER BY science.SOURCE_NAME, science.MEMBER_OUSS_ID
