-- Which execution blocks came from these SchedBlocks? Source: seed 1, "Retrieve raw data".
-- The shift log can hold several rows for one execution block, hence DISTINCT.
SELECT DISTINCT log.SE_SB_ID AS sched_block_uid, log.SE_EB_UID AS eb_uid
  FROM ALMA.SHIFTLOG_ENTRIES log
 WHERE log.SE_SB_ID IN (:sched_block_uids)
