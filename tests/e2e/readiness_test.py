#!/usr/bin/env python3
"""/proxy/readyz: able to serve by default; --ready-requires adds the engine and the GPUs."""

import harness
import proxy_rig


class Readiness(proxy_rig.TestCase):
    def test_by_default_it_waits_for_nobody(self):
        """A sidecar that waited for the engine, which starts after it, would wait for ever."""
        engine = self.engine()
        engine.listener("refused")
        daemon = self.serve("driver-not-loaded", "--upstream", engine.url)
        self.assertEqual(daemon.get("/proxy/readyz").status, 200)
        self.assertEqual(daemon.passes(), 0)

    def test_the_engine_has_to_be_healthy_when_asked_for(self):
        engine, daemon = self.serve_engine("--ready-requires", "engine")
        self.assertEqual(daemon.get("/proxy/readyz").status, 200)
        engine.settings(healthy=False)
        response = daemon.get("/proxy/readyz")
        self.assertEqual((response.status, response.error), (503, "not ready: the engine is not healthy"))
        self.assertTrue(response.headers["Retry-After"])
        engine.settings(healthy=True)
        engine.listener("refused")
        engine.drop()
        self.assertEqual(daemon.get("/proxy/readyz").status, 503)
        engine.listener("open")
        self.assertEqual(daemon.get("/proxy/readyz").status, 200)

    def test_an_engine_that_never_answers_is_not_waited_for_long(self):
        engine, daemon = self.serve_engine("--ready-requires", "engine")
        engine.arm("silent", path="/health")
        response = daemon.get("/proxy/readyz")
        self.assertEqual(response.status, 503)
        self.assertLess(response.seconds, 4 * harness.SCALE)

    def test_the_probe_does_not_wait_behind_clients(self):
        engine, daemon = self.serve_engine("--ready-requires", "engine", "--upstream-connections-max", "1")
        self.occupy(engine, daemon)
        self.assertEqual(daemon.get("/proxy/readyz").status, 200)

    def test_probes_that_come_together_ask_the_engine_once(self):
        engine, daemon = self.serve_engine("--ready-requires", "engine")
        engine.arm("silent", path="/health", times=1)
        clients = [self.send(daemon, "GET /proxy/readyz HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(20)]
        self.assertEqual({harness.read_response(client, 0).status for client in clients}, {503})
        self.assertEqual([one["target"] for one in engine.state()["log"]].count("/health"), 1)

    def test_figures_of_a_gpu_are_needed_when_asked_for_and_the_probe_makes_them(self):
        daemon = self.serve_ready("h100x8-busy", "--ready-requires", "gpu", "--cache-ttl", "10ms")
        before = daemon.passes()
        self.assertEqual(daemon.get("/proxy/readyz").status, 200)
        self.assertGreater(daemon.passes(), before)
        broken = self.serve("driver-not-loaded", "--ready-requires", "gpu")
        self.assertEqual(broken.get("/proxy/readyz").status, 503)

    def test_an_engine_that_is_not_there_is_said(self):
        daemon = self.serve("h100x8-busy", "--ready-requires", "engine,gpu")
        response = daemon.get("/proxy/readyz")
        self.assertEqual(response.status, 503)
        self.assertIn("--upstream", response.error)


if __name__ == "__main__":
    harness.main()
