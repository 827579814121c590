-- Of which project are these MOUSs, what did they observe, and in which bands? Source: seed 1, "The AAT/PPI Front End".
SELECT DISTINCT science.MEMBER_OUSS_ID AS mous_uid, science.PROJECT_CODE AS project_code,
       science.SOURCE_NAME AS source_name, science.BAND_LIST AS band_list
  FROM ALMA.ASA_SCIENCE science
 WHERE science.MEMBER_OUSS_ID IN (:mous_uids)
