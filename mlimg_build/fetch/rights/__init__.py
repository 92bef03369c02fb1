"""What a site and a licence say about the use of an image, as pure functions of text and headers.

Before a URL is asked for: `robots.read_robots` once an origin, then `Robots.refusal(url)`; `tdm.read_tdmrep` once an
origin, then `TdmFile.reservation(url)`; `licences.licence_id` and `licence_patterns.licence_refusal` once a row. With
its answer: `response_headers.header_refusal`. Each refusal is a `signals.Refusal` with its evidence. Nothing here
raises for what a stranger wrote, and all takes time that the limits in these modules bound. A robots.txt of 500 KiB may
take one to two seconds to read: an event loop hands files over some 50 KB to a thread.
"""
