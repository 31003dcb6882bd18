"""Trials of other instances: a logon by SOAP, with which mid-sourcing and the message center begin
(soap-api.md §5).
"""

import re
from xml.sax.saxutils import escape

from django.utils.translation import gettext as _

from envoi.kernel.accounts.network import printable, refused
from envoi.kernel.accounts.opened import Credentials, Failed, Untried
from envoi.kernel.accounts.probes.web import place_of, request, unwanted

ROUTER = "/nl/jsp/soaprouter.jsp"
_LOGON = """\
<SOAP-ENV:Envelope xmlns:xsd="http://www.w3.org/2001/XMLSchema" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/" xmlns:ns="http://xml.apache.org/xml-soap">\
<SOAP-ENV:Header><X-Security-Token></X-Security-Token></SOAP-ENV:Header><SOAP-ENV:Body>\
<m:Logon xmlns:m="urn:xtk:session" SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">\
<sessiontoken xsi:type="xsd:string"></sessiontoken><login xsi:type="xsd:string">{login}</login>\
<password xsi:type="xsd:string">{password}</password><parameters xsi:type="ns:Element"></parameters>\
</m:Logon></SOAP-ENV:Body></SOAP-ENV:Envelope>"""
# The answer is not parsed: it comes from outside, and two pieces of it are enough.
_TOKEN = re.compile(rb"<pstrSessionToken[^>]*>\s*[^<\s]")
_FAULT = re.compile(rb"<faultstring[^>]*>([^<]{1,400})")
_DENIED = b"XSV-350012"


def routing(account: Credentials) -> str:
    """Log on to the mid-sourcing server; other modes have no server."""
    if account.text("mode") != "mid":
        raise Untried(_("Only mid-sourcing has a server to test; this delivery mode has none."))
    return logon(account)


def logon(account: Credentials) -> str:
    """Log on to an instance."""
    url = account.text("server").rstrip("/")
    place, login = place_of(url), account.text("account")
    body = _LOGON.format(login=escape(login), password=escape(account.secret("password")))
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": "xtk:session#Logon"}
    answer = request("POST", url + ROUTER, headers=headers, body=body.encode())
    if answer.status == 200 and _TOKEN.search(answer.body):
        return _("%(place)s lets %(account)s in.") % {"place": place, "account": login}
    if _DENIED in answer.body:
        raise refused(place, login, "XSV-350012")
    if fault := _FAULT.search(answer.body):
        raise Failed(
            _("%(place)s refuses the logon (%(said)s). Check the account and its security zone there.")
            % {"place": place, "said": printable(fault[1])}
        )
    if answer.status >= 400:
        raise unwanted(place, answer)
    raise Failed(_("%(place)s answers, but not as an instance does. Check the address.") % {"place": place})
