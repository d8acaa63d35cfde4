//! Lines of every format, and what they say.

use crate::trace::{Format, Left};

/// A format, lines of it, and each request: at_us, service_us, method, path, status, flags, cluster.
pub(super) type Row = (
    u64,
    u64,
    &'static str,
    &'static str,
    u16,
    &'static str,
    &'static str,
);

pub(super) struct Sample {
    pub(super) format: Format,
    pub(super) text: &'static str,
    pub(super) rows: &'static [Row],
    pub(super) left: &'static [(Left, u64)],
}

pub(super) const SAMPLES: &[Sample] = &[
    Sample {
        // Envoy's default, from its documentation's shape.
        format: Format::Envoy,
        text: "[2026-04-05T06:00:01.000Z] \"POST /api/v1?q=1 HTTP/2\" 204 - 154 0 226 100 \"10.0.35.28\" \"nsq2http\" \"cc21\" \"locations\" \"tcp://10.0.2.1:80\"\n\
               [2026-04-05T06:00:00.500Z] \"GET /\"x\" HTTP/1.1\" 503 UF,URX 0 91 3 - \"-\" \"a \"quoted\" agent\" \"cc22\" \"locations\" \"10.0.2.1:80\"\n\
               [2026-04-05T06:00:02.000Z] \"GET /ws HTTP/1.1\" 101 - 0 0 60000 1 \"-\" \"a\" \"b\" \"c\" \"d\"\n",
        rows: &[
            (0, 3_000, "GET", "/\"x\"", 503, "UF,URX", ""),
            (500_000, 100_000, "POST", "/api/v1?q=1", 204, "", ""),
        ],
        left: &[(Left::Upgrade, 1)],
    },
    Sample {
        // Istio 1.4, 1.6 and 1.20.
        format: Format::Envoy,
        text: "[2026-04-05T06:00:00.000Z] \"GET /a HTTP/1.1\" 200 - \"-\" 0 48 5 4 \"-\" \"curl\" \"id\" \"cart:80\" \"127.0.0.1:80\" inbound|80|http|cart.shop.svc.cluster.local - 10.4.4.1:80 10.4.4.2:1 -\n\
               [2026-04-05T06:00:01.000Z] \"GET /b HTTP/1.1\" 503 UH \"-\" \"no healthy host\" 0 19 0 - \"-\" \"curl\" \"id\" \"cart:80\" \"-\" - - 10.4.4.1:80 10.4.4.2:1 - default\n\
               [2026-04-05T06:00:02.000Z] \"GET /c HTTP/2\" 503 UC upstream_reset_before_response_started{connection_termination} - \"-\" 0 95 11 - \"-\" \"curl\" \"id\" \"cart\" \"10.0.0.1:80\" outbound|80||cart.shop.svc.cluster.local; 10.0.0.1:1 10.0.0.2:2 10.0.0.3:3 - default\n\
               [2026-04-05T06:00:03.000Z] \"- - -\" 0 - - - \"-\" 22 30 63 - \"-\" \"-\" \"-\" \"-\" \"10.0.0.4:443\" PassthroughCluster 10.0.0.93:3 10.0.0.4:443 10.0.0.93:4 - -\n\
               2026-04-05T06:00:03.904190Z\twarning\tenvoy config\tstream closed: 14\tthread=20\n",
        rows: &[
            (
                0,
                4_000,
                "GET",
                "/a",
                200,
                "",
                "inbound|80|http|cart.shop.svc.cluster.local",
            ),
            (1_000_000, 0, "GET", "/b", 503, "UH", ""),
            (
                2_000_000,
                11_000,
                "GET",
                "/c",
                503,
                "UC",
                "outbound|80||cart.shop.svc.cluster.local",
            ),
        ],
        left: &[(Left::Tcp, 1), (Left::ProxyLog, 1)],
    },
    Sample {
        // Envoy's JSON with its own names, renamed ones, numbers and texts, seconds and milliseconds since 1970.
        format: Format::Json,
        text: "{\"start_time\":\"2026-04-05T06:00:00Z\",\"duration\":9,\"upstream_service_time\":\"7\",\"method\":\"PUT\",\"path\":\"/a\",\"response_code\":200,\"response_flags\":\"-\",\"upstream_cluster\":\"c\"}\n\
               {\"startTime\":1775368801.5,\"latencyMs\":\"2.5\",\"requestMethod\":\"GET\",\"url\":\"https://shop.example/b#x\",\"status\":\"504\",\"response_flags\":\"UT\"}\n\
               {\"ts\":1775368802000,\"took_us\":70,\"http\":{\"request\":{\"method\":\"GET\"},\"response\":{\"status_code\":404}},\"uri\":\"/c\"}\n\
               {\"level\":\"info\",\"time\":\"2026-04-05T06:00:00Z\",\"msg\":\"ready\"}\n\
               {\"start_time\":\"2026-04-05T06:00:00Z\",\"duration\":63000,\"method\":\"-\",\"protocol\":\"-\",\"response_code\":0}\n",
        rows: &[
            (0, 7_000, "PUT", "/a", 200, "", "c"),
            (1_500_000, 2_500, "GET", "/b", 504, "UT", ""),
            (2_000_000, 70, "GET", "/c", 404, "", ""),
        ],
        left: &[(Left::Tcp, 1), (Left::ProxyLog, 1)],
    },
    Sample {
        // nginx's JSON: the time is that of the answer, lengths are in seconds, upstreams are a list.
        format: Format::Json,
        text: "{\"time_iso8601\":\"2026-04-05T08:00:02+02:00\",\"request_time\":\"1.000\",\"upstream_response_time\":\"0.001, 0.250\",\"request\":\"GET /a HTTP/1.1\",\"status\":\"200\"}\n\
               {\"msec\":\"1775368802.500\",\"request_time\":\"0.500\",\"upstream_response_time\":\"-\",\"request_method\":\"GET\",\"request_uri\":\"/b\",\"status\":499}\n",
        rows: &[
            (0, 250_000, "GET", "/a", 200, "", ""),
            (1_000_000, 500_000, "GET", "/b", 499, "", ""),
        ],
        left: &[],
    },
    Sample {
        // Caddy: seconds, and the time of the answer; its own log names requests again.
        format: Format::Json,
        text: "{\"level\":\"info\",\"ts\":1775368800.0,\"logger\":\"tls\",\"msg\":\"cleaning storage unit\"}\n\
               {\"level\":\"info\",\"ts\":1775368801.25,\"logger\":\"http.log.access\",\"msg\":\"handled request\",\"request\":{\"remote_ip\":\"10.0.0.1\",\"proto\":\"HTTP/2.0\",\"method\":\"GET\",\"host\":\"a\",\"uri\":\"/a?b=1\",\"headers\":{\"User-Agent\":[\"curl\"]}},\"bytes_read\":0,\"user_id\":\"\",\"duration\":0.25,\"size\":9,\"status\":200,\"resp_headers\":{\"Content-Type\":[\"text/html\"]}}\n\
               {\"level\":\"error\",\"ts\":1775368803.5,\"logger\":\"http.log.error.log0\",\"msg\":\"dial tcp\",\"request\":{\"method\":\"POST\",\"uri\":\"/b\"},\"duration\":0.5,\"status\":502}\n\
               {\"level\":\"error\",\"ts\":1775368803.5,\"logger\":\"http.log.access.log0\",\"msg\":\"handled request\",\"request\":{\"method\":\"POST\",\"uri\":\"/b\"},\"duration\":0.5,\"status\":502}\n\
               {\"ts\":\"2026-04-05T06:00:04.000Z\",\"msg\":\"handled request\",\"request\":{\"method\":\"GET\",\"uri\":\"/c\"},\"duration\":\"350\u{b5}s\",\"status\":404}\n\
               {\"ts\":1775368809,\"logger\":\"http.log.access\",\"msg\":\"handled request\",\"request\":{\"method\":\"GET\",\"uri\":\"/s\"},\"duration\":600.5,\"status\":200,\"resp_headers\":{\"Content-Type\":[\"text/event-stream\"]}}\n\
               {\"ts\":1775368810,\"logger\":\"http.log.access\",\"msg\":\"handled request\",\"request\":{\"method\":\"GET\",\"uri\":\"/d\"},\"duration\":2,\"status\":200}\n",
        rows: &[
            (0, 250_000, "GET", "/a?b=1", 200, "", ""),
            (2_000_000, 500_000, "POST", "/b", 502, "", ""),
            (2_999_650, 350, "GET", "/c", 404, "", ""),
            (7_000_000, 2_000_000, "GET", "/d", 200, "", ""),
        ],
        left: &[(Left::Stream, 1), (Left::ProxyLog, 2)],
    },
    Sample {
        // Traefik: nanoseconds, and the origin's part of them; without its start there is the time of the line.
        format: Format::Json,
        text: "{\"level\":\"info\",\"msg\":\"Configuration loaded\",\"time\":\"2026-04-05T06:00:00Z\"}\n\
               {\"ClientHost\":\"10.0.0.1\",\"DownstreamStatus\":200,\"Duration\":45000000,\"OriginDuration\":40000000,\"OriginStatus\":200,\"Overhead\":5000000,\"RequestMethod\":\"GET\",\"RequestPath\":\"/a\",\"RequestProtocol\":\"HTTP/1.1\",\"RouterName\":\"cart@docker\",\"ServiceName\":\"cart@docker\",\"StartLocal\":\"2026-04-05T08:00:01+02:00\",\"StartUTC\":\"2026-04-05T06:00:01Z\",\"level\":\"info\",\"msg\":\"\",\"time\":\"2026-04-05T06:00:01Z\"}\n\
               {\"DownstreamStatus\":404,\"Duration\":150000,\"RequestMethod\":\"GET\",\"RequestPath\":\"/b\",\"StartUTC\":\"2026-04-05T06:00:02.5Z\",\"level\":\"info\",\"msg\":\"\",\"time\":\"2026-04-05T06:00:03Z\"}\n\
               {\"DownstreamStatus\":502,\"Duration\":2000000000,\"RequestMethod\":\"POST\",\"RequestPath\":\"/c\",\"level\":\"info\",\"msg\":\"\",\"time\":\"2026-04-05T06:00:08Z\"}\n",
        rows: &[
            (0, 40_000, "GET", "/a", 200, "", "cart@docker"),
            (1_500_000, 150, "GET", "/b", 404, "", ""),
            (5_000_000, 2_000_000, "POST", "/c", 502, "", ""),
        ],
        left: &[(Left::ProxyLog, 1)],
    },
    Sample {
        format: Format::Nginx,
        text: "10.0.0.1 - - [05/Apr/2026:06:00:01 +0000] \"GET /a HTTP/1.1\" 200 612 \"-\" \"curl/8\" 0.025 0.024\n\
               10.0.0.1 - bob [05/Apr/2026:08:00:02 +0200] \"POST /b HTTP/1.1\" 502 6 \"-\" \"a b\" \"-\" rt=1.000 uct=\"0.000\" urt=\"-\"\n\
               2001:db8::1 - - [05/Apr/2026:06:00:02 +0000] \"\\x16\\x03\\x01\" 400 0 \"-\" \"-\" 0.000 -\n\
               10.0.0.1 - - [05/Apr/2026:06:00:04 +0000] \"GET /c HTTP/1.1\" 200 612 \"-\" \"curl/8\"\n",
        rows: &[
            (0, 24_000, "GET", "/a", 200, "", ""),
            (25_000, 1_000_000, "POST", "/b", 502, "", ""),
            (3_025_000, 20_000, "GET", "/c", 200, "", ""),
        ],
        left: &[(Left::Unreadable, 1)],
    },
    Sample {
        format: Format::Alb,
        text: "h2 2026-04-05T06:00:01.000000Z app/lb/1 10.0.1.1:2817 10.0.0.1:80 0.001 0.048 0.037 200 200 0 57 \"GET https://shop.example:443/a HTTP/1.1\" \"curl/7\" - - arn:aws:elasticloadbalancing:us-east-2:1:targetgroup/cart/73e2 \"Root=1\" \"-\" \"-\" 0 2026-04-05T06:00:00.914000Z \"forward\" \"-\" \"-\" \"10.0.0.1:80\" \"200\" \"-\" \"-\"\n\
               http 2026-04-05T06:00:05.914000Z app/lb/1 10.0.1.1:2817 10.0.0.1:80 -1 -1 -1 504 - 0 57 \"GET http://shop.example:80/b HTTP/1.1\" \"curl/7\" - - arn:aws:elasticloadbalancing:us-east-2:1:targetgroup/cart/73e2 \"Root=1\" \"-\" \"-\" 0 2026-04-05T06:00:02.914000Z \"forward\" \"-\" \"-\" \"-\" \"-\" \"-\" \"-\"\n\
               wss 2026-04-05T06:00:05.914000Z app/lb/1 10.0.1.1:2817 10.0.0.1:80 0.001 0.001 0.000 101 101 0 57 \"GET https://shop.example:443/ws HTTP/1.1\" \"a\" - - arn \"Root=1\" \"-\" \"-\" 0 2026-04-05T06:00:02.914000Z \"forward\"\n",
        rows: &[
            (0, 48_000, "GET", "/a", 200, "", "cart"),
            (2_000_000, 3_000_000, "GET", "/b", 504, "", "cart"),
        ],
        left: &[(Left::Upgrade, 1)],
    },
    Sample {
        format: Format::K6Json,
        text: "{\"type\":\"Metric\",\"metric\":\"http_req_duration\",\"data\":{\"name\":\"http_req_duration\"}}\n\
               {\"type\":\"Point\",\"metric\":\"http_reqs\",\"data\":{\"time\":\"2026-04-05T06:00:01Z\",\"value\":1,\"tags\":{}}}\n\
               {\"type\":\"Point\",\"metric\":\"http_req_duration\",\"data\":{\"time\":\"2026-04-05T06:00:01Z\",\"value\":250.5,\"tags\":{\"method\":\"GET\",\"status\":\"200\",\"url\":\"http://a.example/x\",\"name\":\"x\"}}}\n\
               {\"type\":\"Point\",\"metric\":\"http_req_duration\",\"data\":{\"time\":\"2026-04-05T06:00:02Z\",\"value\":0,\"tags\":{\"method\":\"GET\",\"status\":\"0\",\"error_code\":\"1212\",\"url\":\"http://a.example\"}}}\n",
        rows: &[
            (0, 250_500, "GET", "/x", 200, "", ""),
            (1_250_500, 0, "GET", "/", 0, "UF", ""),
        ],
        left: &[(Left::OtherMetric, 2)],
    },
    Sample {
        format: Format::K6Csv,
        text: "metric_name,timestamp,metric_value,check,error,error_code,expected_response,group,method,name,status,url,extra_tags\n\
               http_reqs,1775368801,1.0,,,,true,,GET,x,200,http://a.example/x,\n\
               http_req_duration,1775368801,250.5,,\"a, b\",,true,,GET,x,200,http://a.example/x,\n\
               http_req_duration,1775368802,2000,,timeout,1050,false,,GET,x,0,http://a.example/x,\n",
        rows: &[
            (0, 2_000_000, "GET", "/x", 0, "UT", ""),
            (749_500, 250_500, "GET", "/x", 200, "", ""),
        ],
        left: &[(Left::OtherMetric, 1)],
    },
    Sample {
        format: Format::Csv,
        text: "start;duration_ms;method;path;status;cluster\n1775368800;5;GET;\"/a;b\";200;c\n1775368801;6.5;GET;/b;500;c\n",
        rows: &[
            (0, 5_000, "GET", "/a;b", 200, "", "c"),
            (1_000_000, 6_500, "GET", "/b", 500, "", "c"),
        ],
        left: &[],
    },
];
