"""collectDataHeatMapService: gathers when workflows ran, for the heat map.

Reads: tasks of workflows.  Writes: the intervals of each day.  Safe to run twice: yes, a day is counted anew.
If it fails: the supervisors of the workflow are told; the heat map itself goes on, since it reads the tasks.
"""

from django.utils.translation import gettext_noop as _

from envoi.engine.schedule import Schedule
from envoi.engine.workflow import Workflow, call, end, schedule
from envoi.packages.core_default.services import heat_map

workflow = Workflow(
    name="collectDataHeatMapService",
    label=_("Collect data for HeatMap service"),
    labels={
        "fr": "Collecter les données pour le service Carte thermique",
        "sv": "Samla in data för HeatMap-tjänsten",
        "ko": "HeatMap 서비스를 위한 데이터 수집",
        "zh-hant": "收集HeatMap服務的資料",
    },
    activities=(
        schedule("every_morning", Schedule.from_json({"frequency": "daily", "at": "06:30"}), then="collect"),
        call("collect", heat_map.collect, then="end"),
        end(),
    ),
)
