"""The closed list of log events. A test holds the source and docs/operations.md to it."""

from __future__ import annotations

EVENTS: dict[str, str] = {
    "service_started": "the configuration is good and the cameras' tasks are running",
    "service_stopping": "a stop was asked for; cycles under way are finished or dropped whole",
    "service_stopped": "the last line of a clean end",
    "inventory_loaded": "the camera list was read; counts by state",
    "inventory_row_rejected": "a row cannot be used; the rest runs",
    "inventory_stale": "the camera list cannot be reached or believed, once for each new reason; "
    "`using` says which one is in use meanwhile",
    "reload_refused": "a reload changed nothing, and why",
    "camera_failing": "a camera began to fail, or fails for another reason than before",
    "camera_disabled": "too many failed or refused cycles in a row; the camera is no longer asked",
    "camera_recovered": "a picture after trouble",
    "camera_revived": "a disabled camera is asked again",
    "slots_skipped": "a cycle took longer than its interval; so many slots were left out",
    "credential_refused": "a camera refused a login; no more than two are offered in any hour",
    "fallback_published": "the fallback stands in a camera's place",
    "store_failed": "the store does not take objects; the cameras are not to blame",
    "store_recovered": "the store takes objects again",
    "uplink_suspected": "so many cameras became unreachable at once that our own network is suspected",
    "uplink_recovered": "the suspicion is over; cameras disabled meanwhile are revived",
    "settings_differ": "a setting that needs a restart was changed, or the fingerprint is not the expected one",
    "ledger_failed": "the account of slots cannot be written; pictures are published all the same",
    "ledger_recovered": "the account of slots is written again; `dropped` reports found no room meanwhile",
    "ledger_set_aside": "the ledger was damaged or taken away; the old file is kept as ledger.sqlite.aside, "
    "a new one is begun",
    "summary": "each interval, at most every minute: counts by health, published, failed, lateness",
    "picture_published": "debug: the store has taken a camera's picture",
    "attempt_failed": "debug: one attempt of a cycle failed",
    "put_failed": "debug: the store did not take one object; store_failed tells when that is more than a moment",
    "picture_removed": "the public picture of a camera that is no longer run was deleted",
    "state_not_saved": "a file of the state folder, or a copy for the page, cannot be written",
    "internal_error": "our own fault, to be reported; the camera is tried again at its next slot",
    "internal_traceback": "debug: where in the code that was",
    "library_message": "a warning or an error of a library, or of the event loop, made plain",
    "log_lines_dropped": "the log could not be written for a while; so many lines are missing here",
    "watchdog_withheld": "the service is not well, so systemd's watchdog is not fed, and why",
    "watchdog_resumed": "the watchdog is fed again",
}
