-- To which projects do these MOUSs belong? Source: seed 1, "ProposalCode".
SELECT DISTINCT science.MEMBER_OUSS_ID AS mous_uid, science.PROJECT_CODE AS project_code
  FROM ALMA.ASA_SCIENCE science
 WHERE science.MEMBER_OUSS_ID IN (:mous_uids)
