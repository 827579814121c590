-- Which MOUSs were delivered in a window (its start belongs to it, its end does not), and when last in it?
-- The guess of DOMAIN section 2 stands here alone: an MOUS counts as calibrated when its state became Delivered.
SELECT change.STATUS_ENTITY_ID AS mous_uid, MAX(change."TIMESTAMP") AS delivered_at
  FROM ALMA.STATE_CHANGES change
 WHERE change."TIMESTAMP" >= :window_start
   AND change."TIMESTAMP" < :window_end
   AND RTRIM(change.DOMAIN_ENTITY_STATE) = 'Delivered'
 GROUP BY change.STATUS_ENTITY_ID
