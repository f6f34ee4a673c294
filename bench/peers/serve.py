#!/usr/bin/env python3
"""Serve the tutorial's node without its debug reloader, filled with blocks if asked to.

usage: serve.py TUTORIAL PORT [BLOCKS]

The blocks are made by the tutorial's own functions: nine transactions each, and
the reward as the tenth."""
import logging
import sys

tutorial, port = sys.argv[1], int(sys.argv[2])
blocks = int(sys.argv[3]) if len(sys.argv) > 3 else 0
sys.path.insert(0, tutorial)
import app  # noqa: E402

for block in range(blocks):
    for i in range(9):
        app.blockchain.create_new_transaction("sender_%032x" % block, "recipient_%032x" % i, 3)
    app.blockchain.mine_block(app.node_address)
logging.getLogger("werkzeug").setLevel(logging.ERROR)
app.app.run(host="127.0.0.1", port=port, debug=False, threaded=True)
