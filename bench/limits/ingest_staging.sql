-- Where the lines of segments are copied to by hand: the columns of a line, without key or index. It survives a
-- crash, for a segment is gone once it is loaded.
CREATE TABLE bench_hits (
    tracking_inbox_id bigint, received_at timestamptz, broad_log_id bigint, delivery_id bigint, url_id bigint,
    kind smallint, source_id uuid, html boolean, params text, user_agent text, address varchar(64), extra text,
    segment varchar(128)
);
