-- Which MOUSs have SchedBlocks whose name begins so, in order of name? A page goes on
-- behind (:last, :last_uid), the last row of the one before; names end before :past. Oracle reads only what is fetched.
-- Source: seed 1, "The AAT/PPI Front End".
-- Source: DOMAIN section 3.
SELECT /*+ FIRST_ROWS(50) */ sb.MOUS_STATUS_UID AS mous_uid, sb.SB_NAME AS name
  FROM ALMA.BMMV_SCHEDBLOCK sb
 WHERE sb.SB_NAME >= :last
   AND sb.SB_NAME < :past
   AND (sb.SB_NAME > :last OR sb.MOUS_STATUS_UID > :last_uid)
 ORDER BY sb.SB_NAME, sb.MOUS_STATUS_UID
