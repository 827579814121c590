-- Which part of which project structure are these MOUSs? Source: seed 1, "ObsUnitSetRef".
SELECT ous.OUS_STATUS_ENTITY_ID AS mous_uid, ous.OBSUNITSETUID AS obs_unit_set_uid, ous.OBSUNITSETPARTID AS part_id
  FROM ALMA.AQUA_OUS ous
 WHERE ous.OUS_STATUS_ENTITY_ID IN (:mous_uids)
