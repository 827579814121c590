-- From which SchedBlocks did these execution blocks come? Source: seed 1, "What if I only have an EB UID?".
-- The shift log can hold several rows for one execution block, hence DISTINCT.
SELECT DISTINCT log.SE_EB_UID AS eb_uid, log.SE_SB_ID AS sched_block_uid
  FROM ALMA.SHIFTLOG_ENTRIES log
 WHERE log.SE_EB_UID IN (:eb_uids)
