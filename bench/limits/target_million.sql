-- The same steps as a careful hand writes them: one statement a step, tables made by the select that fills them.
CREATE TABLE bench_query AS
    SELECT recipient_id AS id FROM nms_recipient WHERE black_list = 0 AND email <> '';
ANALYZE bench_query;
CREATE TABLE bench_enriched AS
    SELECT q.id, r.email, r.last_name, upper(r.city) AS city, extract(year FROM r.birth_date)::integer AS born, f.label AS folder
    FROM bench_query q JOIN nms_recipient r ON r.recipient_id = q.id LEFT JOIN xtk_folder f ON f.folder_id = r.folder_id;
ANALYZE bench_enriched;
CREATE TABLE bench_single AS
    SELECT DISTINCT ON (email COLLATE "C") id, email, last_name, city, born, folder FROM bench_enriched ORDER BY email COLLATE "C", id;
ANALYZE bench_single;
CREATE TABLE bench_excluded AS
    SELECT recipient_id AS id FROM nms_rcp_grp_rel WHERE group_id = (SELECT group_id FROM nms_group WHERE name = 'benchExcluded');
ANALYZE bench_excluded;
CREATE TABLE bench_kept AS
    SELECT s.* FROM bench_single s WHERE NOT EXISTS (SELECT 1 FROM bench_excluded e WHERE e.id = s.id);
ANALYZE bench_kept;
CREATE TABLE bench_1 AS
    SELECT k.*, 'paris' AS segment_code FROM bench_kept k WHERE city = 'PARIS';
CREATE TABLE bench_2 AS
    SELECT k.*, 'drawn' AS segment_code FROM bench_kept k WHERE NOT EXISTS (SELECT 1 FROM bench_1 o WHERE o.id = k.id)
    ORDER BY random() LIMIT (SELECT count(*) / 5 FROM bench_kept);
CREATE TABLE bench_3 AS
    SELECT k.*, 'young' AS segment_code FROM bench_kept k WHERE NOT EXISTS (SELECT 1 FROM bench_1 o WHERE o.id = k.id)
    AND NOT EXISTS (SELECT 1 FROM bench_2 o WHERE o.id = k.id)
    ORDER BY born DESC NULLS LAST, id LIMIT (SELECT count(*) / 10 FROM bench_kept);
CREATE TABLE bench_4 AS
    SELECT k.*, 'old' AS segment_code FROM bench_kept k WHERE born < 1970 AND NOT EXISTS (SELECT 1 FROM bench_1 o WHERE o.id = k.id)
    AND NOT EXISTS (SELECT 1 FROM bench_2 o WHERE o.id = k.id) AND NOT EXISTS (SELECT 1 FROM bench_3 o WHERE o.id = k.id);
CREATE TABLE bench_5 AS
    SELECT k.* FROM bench_kept k WHERE NOT EXISTS (SELECT 1 FROM bench_1 o WHERE o.id = k.id)
    AND NOT EXISTS (SELECT 1 FROM bench_2 o WHERE o.id = k.id) AND NOT EXISTS (SELECT 1 FROM bench_3 o WHERE o.id = k.id)
    AND NOT EXISTS (SELECT 1 FROM bench_4 o WHERE o.id = k.id);
INSERT INTO nms_rcp_grp_rel (rcp_grp_rel_id, group_id, recipient_id)
    SELECT 4000000000000 + id, (SELECT group_id FROM nms_group WHERE name = 'bench1'), id FROM bench_1 ON CONFLICT DO NOTHING;
INSERT INTO nms_rcp_grp_rel (rcp_grp_rel_id, group_id, recipient_id)
    SELECT 4000000000000 + id, (SELECT group_id FROM nms_group WHERE name = 'bench2'), id FROM bench_2 ON CONFLICT DO NOTHING;
INSERT INTO nms_rcp_grp_rel (rcp_grp_rel_id, group_id, recipient_id)
    SELECT 4000000000000 + id, (SELECT group_id FROM nms_group WHERE name = 'bench3'), id FROM bench_3 ON CONFLICT DO NOTHING;
INSERT INTO nms_rcp_grp_rel (rcp_grp_rel_id, group_id, recipient_id)
    SELECT 4000000000000 + id, (SELECT group_id FROM nms_group WHERE name = 'bench4'), id FROM bench_4 ON CONFLICT DO NOTHING;
INSERT INTO nms_rcp_grp_rel (rcp_grp_rel_id, group_id, recipient_id)
    SELECT 4000000000000 + id, (SELECT group_id FROM nms_group WHERE name = 'bench5'), id FROM bench_5 ON CONFLICT DO NOTHING;
