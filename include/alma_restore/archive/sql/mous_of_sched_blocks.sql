-- To which MOUSs do these SchedBlocks belong? Source: seed 1, "What if I only have an EB UID?".
SELECT DISTINCT sb.ARCHIVE_UID AS sched_block_uid, sb.MOUS_STATUS_UID AS mous_uid
  FROM ALMA.BMMV_SCHEDBLOCK sb
 WHERE sb.ARCHIVE_UID IN (:sched_block_uids)
