-- Which SchedBlocks belong to these MOUSs, and for which array were they written? Source: seed 1, "Retrieve raw data".
SELECT sb.MOUS_STATUS_UID AS mous_uid, sb.ARCHIVE_UID AS sched_block_uid, sb.SB_STATUS_UID AS status_uid,
       sb.SB_NAME AS name, sb.REQUESTEDARRAY AS requested_array
  FROM ALMA.BMMV_SCHEDBLOCK sb
 WHERE sb.MOUS_STATUS_UID IN (:mous_uids)
