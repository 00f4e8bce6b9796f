"""``/api/v1/feedback``: what people say of diagnoses."""

from fastapi import APIRouter
from pydantic import Field

from deployment.api.bodies import BoundedRoute
from deployment.api.context import Here
from deployment.api.incidents import INCIDENT_ID, OPERATOR, Done
from mimir_core.store.requests import Asker, Opinion, give_feedback

router = APIRouter(prefix="/api/v1/feedback", tags=["feedback"], route_class=BoundedRoute)


class Feedback(Opinion):
    """What a person says about the latest diagnosis of one incident."""

    incident_id: str = Field(pattern=INCIDENT_ID)


@router.post("", status_code=201)
async def feedback(said: Feedback, here: Here, asker: Asker = OPERATOR) -> Done:
    """Say whether the latest diagnosis of an incident is right, and what is."""
    opinion = Opinion(**said.model_dump(exclude={"incident_id"}))
    return Done(id=await give_feedback(here.database, said.incident_id, opinion, asker))
