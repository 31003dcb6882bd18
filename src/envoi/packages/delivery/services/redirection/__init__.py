"""What readers reach, without Django: tags, answers, segments of hits (architecture §3.7)."""
