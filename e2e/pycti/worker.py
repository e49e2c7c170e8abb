"""Drains the push queue with pycti, as the platform's own worker does.

The environment says where: OPENCTI_URL and OPENCTI_TOKEN (a user that may act
for others), WORKER_BROKER (an amqp:// address), WORKER_QUEUE (which need not
exist yet). It runs until it is told to end.

What is the worker's, not pycti's, is written here: one message at a time, the
applicant in a header, the work too where pycti knows that header, splitting and
requeueing of messages that hold several objects, acknowledgement at the end.
"""

import base64
import json
import os
import signal
import sys
import time

import pika
from pycti import OpenCTIApiClient
from pycti.utils.opencti_stix2_splitter import OpenCTIStix2Splitter


def split(content):
    """The bundles of one object each that a bundle makes, and their number.

    pycti 6 returns two values, 7 returns the incompatible items as a third.
    """
    result = OpenCTIStix2Splitter().split_bundle_with_expectations(content, False)
    return result[0], result[-1]


class Worker:
    def __init__(self, url, token, queue):
        self.api = OpenCTIApiClient(url, token, "error", json_logging=True)
        self.queue = queue

    def take(self, channel, method, body):
        data = json.loads(body)
        work = data.get("work_id")
        types = data.get("entities_types") or None
        update = data.get("update", False)
        self.api.set_applicant_id_header(data["applicant_id"])
        self.api.set_playbook_id_header(None)
        self.api.set_event_id(None)
        self.api.set_draft_id(data.get("draft_id") or "")
        if hasattr(self.api, "set_work_id"):
            self.api.set_work_id(work)
        raw = base64.b64decode(data["content"]).decode("utf-8")
        content = json.loads(raw)
        if content.get("type") != "bundle" or not content.get("objects"):
            raise ValueError("the content is no bundle with objects")
        if len(content["objects"]) == 1 or data.get("no_split", False):
            self.api.stix2.import_bundle_from_json(raw, update, types, work)
            return
        expectations, bundles = split(content)
        if work is not None:
            self.api.work.add_expectations(work, expectations)
        for bundle in bundles:
            if not isinstance(bundle, str):
                bundle = json.dumps(bundle)
            data["content"] = base64.b64encode(bundle.encode("utf-8")).decode("utf-8")
            channel.basic_publish(
                exchange="",
                routing_key=self.queue,
                body=json.dumps(data),
                properties=pika.BasicProperties(
                    delivery_mode=2, content_encoding="utf-8"
                ),
            )

    def drain(self, address):
        """Consumes until the connection or the queue goes."""
        connection = pika.BlockingConnection(pika.URLParameters(address))
        try:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=1)
            for method, _, body in channel.consume(self.queue, inactivity_timeout=0.2):
                if method is None:
                    continue
                try:
                    self.take(channel, method, body)
                except Exception as error:  # acknowledged and lost, as there
                    print(f"message lost: {type(error).__name__}: {error}", file=sys.stderr)
                channel.basic_ack(method.delivery_tag)
        finally:
            if connection.is_open:
                connection.close()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    worker = Worker(
        os.environ["OPENCTI_URL"],
        os.environ["OPENCTI_TOKEN"],
        os.environ["WORKER_QUEUE"],
    )
    print("ready", flush=True)
    while True:
        try:
            worker.drain(os.environ["WORKER_BROKER"])
        except pika.exceptions.AMQPError:
            pass
        time.sleep(0.1)  # the queue is not there yet, or the broker restarts


if __name__ == "__main__":
    main()
