package api

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"cairn/api/client"
	"cairn/chain"
	"cairn/consensus"
)

// metrics counts requests and shows the chain to Prometheus. No other file knows
// Prometheus.
type metrics struct {
	page     func() http.Handler // made when somebody asks for it
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	running  *prometheus.GaugeVec
}

func newMetrics(s *server) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cairn_http_requests_total",
			Help: "Requests answered, by route and HTTP status.",
		}, []string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "cairn_http_request_duration_seconds",
			Help:    "Time from a request's headers to the end of its answer, by route.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10), // 0.5 ms to 131 s
		}, []string{"route"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "cairn_http_requests_running",
			Help: "Requests that are being answered, by route.",
		}, []string{"route"}),
	}
	m.page = sync.OnceValue(func() http.Handler {
		build := prometheus.NewGauge(prometheus.GaugeOpts{
			Name:        "cairn_build_info",
			Help:        "Always 1; the labels say what runs.",
			ConstLabels: prometheus.Labels{"version": s.version, "go": runtime.Version(), "network": s.rules.Name},
		})
		build.Set(1)
		registry := prometheus.NewRegistry()
		registry.MustRegister(m.requests, m.duration, m.running, build, chainCollector{s},
			collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	})
	return m
}

// routeMetrics are those of one route.
type routeMetrics struct {
	requests *prometheus.CounterVec
	duration prometheus.Observer
	running  prometheus.Gauge
}

// of returns the metrics of a route. Routes are those of the code, and statuses
// those of HTTP, so there is a bounded number of label values.
func (m *metrics) of(route string) routeMetrics {
	return routeMetrics{
		requests: m.requests.MustCurryWith(prometheus.Labels{"route": route}),
		duration: m.duration.WithLabelValues(route),
		running:  m.running.WithLabelValues(route),
	}
}

// done notes the end of a request that running has counted.
func (m *routeMetrics) done(status int, took time.Duration) {
	m.running.Dec()
	m.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	m.duration.Observe(took.Seconds())
}

func (m *metrics) serve(w *response, r *http.Request) error {
	m.page().ServeHTTP(w, r)
	return nil
}

// chainCollector reads the chain when it is asked, so that nothing has to be
// kept up to date.
type chainCollector struct{ s *server }

var (
	heightDesc     = describe("chain_height", "Height of the best chain.")
	workDesc       = describe("chain_work", "Cumulative work of the best chain, in expected hashes.")
	tipTimeDesc    = describe("chain_tip_time_seconds", "Time of the best block, in Unix seconds.")
	poolDesc       = describe("pool_transfers", "Transfers that wait for a block.")
	poolBytesDesc  = describe("pool_bytes", "Memory that the waiting transfers occupy, estimated.")
	neighboursDesc = describe("neighbours", "Registered neighbours.")
	peersDesc      = prometheus.NewDesc("cairn_peers", "Peers that are connected, by who called.", []string{"direction"}, nil)
	partsDesc      = prometheus.NewDesc("cairn_add_seconds_total", "What each part of adding blocks has taken, summed over cores.", []string{"part"}, nil)
)

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("cairn_"+name, help, nil, nil)
}

// Describe sends what Collect may send.
func (c chainCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{heightDesc, workDesc, tipTimeDesc, poolDesc, poolBytesDesc, neighboursDesc, peersDesc, partsDesc} {
		ch <- d
	}
}

// Collect sends the present values.
func (c chainCollector) Collect(ch chan<- prometheus.Metric) {
	tip, pool := c.s.chain.Tip(), c.s.chain.Pool()
	for d, value := range map[*prometheus.Desc]float64{
		heightDesc:     float64(tip.Height),
		workDesc:       workFloat(tip.Work),
		tipTimeDesc:    float64(tip.Time),
		poolDesc:       float64(pool.Transfers),
		poolBytesDesc:  float64(pool.Bytes),
		neighboursDesc: float64(len(c.s.syncer.Neighbours())),
	} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	peers := map[string]float64{client.DirectionIn: 0, client.DirectionOut: 0}
	for _, p := range c.s.connected() {
		peers[direction(p)]++
	}
	for d, count := range peers {
		ch <- prometheus.MustNewConstMetric(peersDesc, prometheus.GaugeValue, count, d)
	}
	for _, p := range chain.Parts() {
		ch <- prometheus.MustNewConstMetric(partsDesc, prometheus.CounterValue, c.s.chain.Spent(p).Seconds(), p.String())
	}
}

// workFloat returns the float nearest to w, or one beside it.
func workFloat(w consensus.Work) float64 {
	var f float64
	for i := len(w) - 1; i >= 0; i-- {
		f = f*(1<<64) + float64(w[i])
	}
	return f
}
