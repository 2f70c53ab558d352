"""A video server by gst-rtsp-server, run by the distribution's own Python: serves /h264, /h265 and /jpeg, and /udp by
UDP alone; with the argument `closed` only to admin with the password p@ss. It prints its port."""

import sys


def main() -> None:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    gi.require_version("GstRtsp", "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

    Gst.init(None)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service="0")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    user = GstRtspServer.RTSPToken()
    user.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "user")
    auth.add_digest("admin", "p@ss", user)
    server.set_auth(auth)
    anybody = GstRtspServer.RTSPToken()
    anybody.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "anybody")
    source = "videotestsrc is-live=true pattern=smpte ! video/x-raw,format=I420,width=640,height=360,framerate=10/1 ! "
    fast = "tune=zerolatency speed-preset=ultrafast key-int-max=10"
    h264 = f"( {source} x264enc {fast} ! rtph264pay name=pay0 pt=96 )"

    def add(path: str, launch: str, **properties: object) -> None:
        factory = GstRtspServer.RTSPMediaFactory(launch=launch, shared=True, **properties)
        rights = GstRtspServer.RTSPPermissions()
        for role in ("anybody", "user"):
            item = Gst.Structure.new_empty(role)
            item.set_value(GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS, True)
            item.set_value(GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, True)
            rights.add_role_from_structure(item)
        factory.set_permissions(rights)
        server.get_mount_points().add_factory(path, factory)

    add("/h264", h264)
    add("/h265", f"( {source} x265enc {fast} ! rtph265pay name=pay0 pt=96 )")
    add("/jpeg", f"( {source} jpegenc ! rtpjpegpay name=pay0 pt=26 )")
    add("/udp", h264, protocols=GstRtsp.RTSPLowerTrans.UDP)
    if "closed" not in sys.argv:
        auth.set_default_token(anybody)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
