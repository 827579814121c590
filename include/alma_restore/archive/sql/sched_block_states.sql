-- What is the status entity of each of these SchedBlocks, and in which state is it? Source: seed 1, "SBStatusRef".
SELECT status.DOMAIN_ENTITY_ID AS sched_block_uid, status.STATUS_ENTITY_ID AS status_uid,
       status.DOMAIN_ENTITY_STATE AS state
  FROM ALMA.SCHED_BLOCK_STATUS status
 WHERE status.DOMAIN_ENTITY_ID IN (:sched_block_uids)
