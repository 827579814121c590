-- What is the status entity of the projects of these MOUSs? Source: seed 1, "ProjectStatusRef".
SELECT status.STATUS_ENTITY_ID AS mous_uid, status.OBS_PROJECT_STATUS_ID AS project_status_uid
  FROM ALMA.OBS_UNIT_SET_STATUS status
 WHERE status.STATUS_ENTITY_ID IN (:mous_uids)
