-- The analysis of a delivery to all recipients, as a careful hand writes it: one table with the reason of each exclusion,
-- then messages, exclusions, parts and counts. The delivery and its run are the latest of their tables.
CREATE TABLE bench_target AS
    SELECT id, address, (CASE WHEN reason = 0 AND row_number() OVER (PARTITION BY reason, address COLLATE "C" ORDER BY id) > 1 THEN 10 ELSE reason END)::smallint AS reason
    FROM (SELECT r.recipient_id AS id, r.email AS address,
              CASE WHEN r.email = '' THEN 7
                   WHEN r.black_list <> 0 OR r.black_list_email <> 0 OR a.status = 3 THEN 8
                   WHEN a.status = 4 THEN 9
                   WHEN EXISTS (SELECT 1 FROM nms_suppression s WHERE s.kind = 'address' AND s.channel = 0 AND s.key = encode(sha256(convert_to(r.email, 'UTF8')), 'hex'))
                     OR EXISTS (SELECT 1 FROM nms_suppression s WHERE s.kind = 'domain' AND s.channel = 0 AND s.key = split_part(r.email, '@', 2)) THEN 11
                   ELSE 0 END AS reason
          FROM nms_recipient r LEFT JOIN nms_address a ON a.address = r.email AND a.type = 0 AND a.status IN (3, 4)) AS checked;
ANALYZE bench_target;
INSERT INTO nms_broad_log_rcp (id, target_id, run_id, delivery_id, address, status, modified_at)
    SELECT 4000000000000 + row_number() OVER (ORDER BY id), id, (SELECT max(run_id) FROM nms_delivery_run), (SELECT max(delivery_id) FROM nms_delivery), address, 6, '2026-01-01'
    FROM bench_target WHERE reason = 0;
INSERT INTO nms_broad_log_rcp (id, target_id, run_id, delivery_id, address, status, failure_reason, modified_at)
    SELECT 5000000000000 + row_number() OVER (ORDER BY id), id, (SELECT max(run_id) FROM nms_delivery_run), (SELECT max(delivery_id) FROM nms_delivery), address, 0, reason, '2026-01-01'
    FROM bench_target WHERE reason <> 0;
INSERT INTO nms_dlv_exclusion (delivery_id, run_id, failure_reason, count)
    SELECT (SELECT max(delivery_id) FROM nms_delivery), (SELECT max(run_id) FROM nms_delivery_run), reason, count(*) FROM bench_target WHERE reason <> 0 GROUP BY reason;
INSERT INTO nms_delivery_part (delivery_id, run_id, first_id, last_id, quantity)
    SELECT (SELECT max(delivery_id) FROM nms_delivery), (SELECT max(run_id) FROM nms_delivery_run), 4000000000000 + n, 4000000000000 + least(n + 255, total), least(256, total - n + 1)
    FROM (SELECT count(*) AS total FROM bench_target WHERE reason = 0) AS counted, generate_series(1, total, 256) AS n;
DROP TABLE bench_target;
