"""Makes that want the login in the query or give a token, cheap boards among them; and no make at all."""

from __future__ import annotations

from cctv_images.acquire import quirks
from cctv_images.acquire.recipe import BRANDS, ISPY, UNATTRIBUTED, Recipe

ROWS = (
    Recipe(
        name="acti",
        title="ACTi",
        brands=("ACTi",),
        path="/cgi-bin/encoder?USER={username}&PWD={password}&SNAPSHOT",
        channel_path="/cgi-bin/encoder?USER={username}&PWD={password}&CHANNEL={channel}&SNAPSHOT",
        logins=("query",),
        refine=quirks.acti,
        source="ACTi URL command specification 1.3.01 (2013)",
        confidence="D",
        notes="Some platforms send stream 1 whatever size is asked for while the overlay is on.",
        parameters=("SNAPSHOT=N640x480,90 (size, quality 1 to 100, higher is better)",),
    ),
    Recipe(
        name="acti-http",
        title="ACTi, newer, with a login by HTTP",
        brands=("ACTi HTTP",),
        lines=("A713",),
        path="/cgi-bin/cmd/encoder?SNAPSHOT",
        channel_path="/cgi-bin/cmd/encoder?CHANNEL={channel}&SNAPSHOT",
        logins=("basic", "digest"),
        refine=quirks.acti,
        source="ACTi URL command specification 1.3.01 (2013); ACTi A713 manual p. 16 (Basic or Digest)",
        confidence="D",
    ),
    Recipe(
        name="geovision",
        title="GeoVision",
        brands=("GeoVision", "GeoVision IP"),
        path="/PictureCatch.cgi?username={username}&password={password}&channel={channel}",
        default_channel=1,
        logins=("query", "digest"),
        source=f"{UNATTRIBUTED}; {BRANDS}/geovision.md",
        confidence="C",
        notes="Others answer path=/cgi-bin/snapshot.cgi, /GetImage.cgi, /cgi-bin/viewer/video.jpg or /cam1.jpg "
        "(H). Old firmware runs commands out of this request (CVE-2018-25118): keep it apart from other networks.",
    ),
    Recipe(
        name="reolink",
        title="Reolink",
        brands=("Reolink",),
        path="/cgi-bin/api.cgi?cmd=Snap&channel={channel}",
        default_channel=0,
        first_channel=0,
        logins=("token",),
        session="reolink",
        refine=quirks.reolink,
        source="github.com/starkillerOG/reolink_aio api.py; github.com/JimStar/reolink_cctv issue 14; "
        "github.com/koush/scrypted issues 1109, 1873",
        confidence="C",
        notes="One login serves until its lease ends, and is logged out at the end: devices hold few sessions. At most "
        "31 characters of a password count. A camera that wants https says so.",
        parameters=("snapType=main or sub", "width and height with snapType=sub", "iLogicChannel=1 (second lens)"),
    ),
    Recipe(
        name="reolink-query",
        title="Reolink without sessions",
        brands=("Reolink query",),
        path="/cgi-bin/api.cgi?cmd=Snap&channel={channel}&user={username}&password={password}",
        default_channel=0,
        first_channel=0,
        logins=("query",),
        refine=quirks.reolink,
        source="github.com/starkillerOG/reolink_aio api.py; github.com/ReolinkCameraAPI/reolinkapipy issue 14",
        confidence="C",
    ),
    Recipe(
        name="foscam",
        title="Foscam HD",
        brands=("Foscam", "Foscam HD"),
        path="/cgi-bin/CGIProxy.fcgi?cmd=snapPicture2&usr={username}&pwd={password}",
        port=88,
        logins=("query",),
        refine=quirks.foscam,
        source="github.com/Skinah/IpCamera IpCameraHandler.java and issue 11; github.com/krmarien/python-foscam "
        f"foscam.py; {BRANDS}/foscam.md",
        confidence="C",
        notes="Stops taking logins after wrong ones, until it is switched off and on (F).",
    ),
    Recipe(
        name="foscam-old",
        title="Foscam, older, and cheap GoAhead boards",
        brands=("Foscam old", "GoAhead"),
        path="/snapshot.cgi?user={username}&pwd={password}",
        logins=("query",),
        source=f"{BRANDS}/foscam.md; {ISPY}; github.com/home-assistant/core issue 14960",
        confidence="H",
        notes="Some send a header line without a name (F).",
    ),
    Recipe(
        name="goahead-tmpfs",
        title="GoAhead boards, /tmpfs",
        brands=("GoAhead tmpfs",),
        path="/tmpfs/auto.jpg",  # noqa: S108 - of the camera
        source=ISPY,
        confidence="H",
    ),
    Recipe(
        name="goahead-webcapture",
        title="GoAhead boards, webcapture",
        brands=("GoAhead webcapture",),
        path="/webcapture.jpg?command=snap&channel={channel}",
        default_channel=1,
        source=ISPY,
        confidence="H",
    ),
    Recipe(
        name="instar",
        title="Instar 1440p",
        brands=("Instar",),
        path="/snap.cgi?chn={channel}&user={username}&pwd={password}",
        default_channel=11,
        first_channel=11,
        logins=("query",),
        source="wiki.instar.com 1440p CGI list",
        confidence="D",
    ),
    Recipe(
        name="instar-old",
        title="Instar, older",
        brands=("Instar old",),
        path="/tmpfs/snap.jpg",  # noqa: S108 - of the camera
        source="github.com/Skinah/IpCamera IpCameraHandler.java",
        confidence="C",
    ),
    Recipe(
        name="onvif",
        title="Any ONVIF device",
        brands=("ONVIF",),
        path="/onvif/device_service",
        interface="onvif",
        logins=("digest", "basic"),
        source="github.com/onvif/specs Core.xml, Media.xml, Media2.xml; github.com/AlexxIT/go2rtc pkg/onvif; "
        "github.com/openvideolibs/python-onvif-zeep-async client.py",
        confidence="D",
        notes="The device is asked where its still is; a channel is one of its video sources. Ports seen: 80, 8000 "
        "(Reolink, C), 2020 (Tapo, C). Where the still wants another account than ONVIF, CCTV_CREDENTIALS holds it "
        "under the same name with -still behind it.",
    ),
    Recipe(
        name="generic",
        title="Any camera with a still at an address",
        brands=("generic",),
        path="/",
        source="the inventory: the address is a full URL, or the path column says where",
        confidence="",
    ),
)
