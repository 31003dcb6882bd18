-- Hits of one delivery become tracking logs, as a careful hand writes it: one statement, nothing told apart, nothing counted.
INSERT INTO nms_tracking_log_rcp (id, target_id, run_id, broad_log_id, delivery_id, url_id, type, log_date, source_id, flags)
    SELECT h.tracking_inbox_id, b.target_id, b.run_id, b.id, h.delivery_id, h.url_id, u.type, h.received_at, h.source_id, b.flags
    FROM bench_hits h
    JOIN nms_broad_log_rcp b ON b.run_id = (SELECT max(run_id) FROM nms_delivery_run) AND b.id = h.broad_log_id
    JOIN nms_tracking_url u ON u.tracking_url_id = h.url_id;
