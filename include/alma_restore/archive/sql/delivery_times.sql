-- When was each of these MOUSs last delivered? The same guess as in delivered_mous.sql.
SELECT change.STATUS_ENTITY_ID AS mous_uid, MAX(change."TIMESTAMP") AS delivered_at
  FROM ALMA.STATE_CHANGES change
 WHERE change.STATUS_ENTITY_ID IN (:mous_uids)
   AND RTRIM(change.DOMAIN_ENTITY_STATE) = 'Delivered'
 GROUP BY change.STATUS_ENTITY_ID
