-- Which MOUSs have product files at all? The slow full sweep starts here. Source: DOMAIN section 2.
SELECT DISTINCT product.ASA_OUS_ID AS mous_uid
  FROM ALMA.ASA_PRODUCT_FILES product
