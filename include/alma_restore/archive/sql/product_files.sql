-- Which files were delivered for these MOUSs, of any class? Source: seed 1, "Retrieve calibration products".
SELECT product.ASA_OUS_ID AS mous_uid, product.NGAS_FILE_ID AS file_id,
       product.FILE_CLASS AS file_class, product.STORED_SIZE AS size_bytes
  FROM ALMA.ASA_PRODUCT_FILES product
 WHERE product.ASA_OUS_ID IN (:mous_uids)
