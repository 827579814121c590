-- Which MOUSs belong to the projects whose code begins so, in order of code? A page goes on
-- behind (:last, :last_uid), the last row of the one before; names end before :past. Oracle reads only what is fetched.
-- Source: seed 1, "The AAT/PPI Front End".
-- Source: DOMAIN section 3.
SELECT /*+ FIRST_ROWS(50) */ science.MEMBER_OUSS_ID AS mous_uid, science.PROJECT_CODE AS name
  FROM ALMA.ASA_SCIENCE science
 WHERE science.PROJECT_CODE >= :last
   AND science.PROJECT_CODE < :past
   AND (science.PROJECT_CODE > :last OR science.MEMBER_OUSS_ID > :last_uid)
 ORDER BY science.PROJECT_CODE, science.MEMBER_OUSS_ID
