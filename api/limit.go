package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/time/rate"
)

// maxClients is how many clients' requests are counted before those that were quiet
// for longest are forgotten.
const maxClients = 16_384

// limiter counts the requests of strangers, each address by itself. Clients are kept
// in two generations: when the young one is full, the old one, whose members have
// not asked since, is dropped.
type limiter struct {
	rate rate.Limit // requests a second; the burst is twice as many

	mu         sync.Mutex
	young, old map[netip.Prefix]*rate.Limiter
}

func newLimiter(perSecond int) *limiter {
	return &limiter{rate: rate.Limit(perSecond), young: make(map[netip.Prefix]*rate.Limiter)}
}

// allow counts a request and tells whether it may be answered now.
func (l *limiter) allow(r *http.Request) bool {
	return l.rate == 0 || l.of(clientOf(r)).Allow()
}

// burst is how many requests a client may make at once.
func (l *limiter) burst() int { return 2 * int(l.rate) }

// wait counts n requests, at most a burst, and returns when they may be answered.
func (l *limiter) wait(r *http.Request, n int) error { return l.of(clientOf(r)).WaitN(r.Context(), n) }

func (l *limiter) of(client netip.Prefix) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.young[client]
	if c != nil {
		return c
	}
	if c = l.old[client]; c == nil {
		c = rate.NewLimiter(l.rate, l.burst())
	}
	if len(l.young) == maxClients {
		l.old, l.young = l.young, make(map[netip.Prefix]*rate.Limiter)
	}
	l.young[client] = c
	return c
}

// clientOf returns whose request it is: an IPv4 address, or the /64 that one host
// has of IPv6. Of what a proxy on this machine passed on, it is the address that the
// proxy itself saw, the last one that it names.
func clientOf(r *http.Request) netip.Prefix {
	addr := addressOf(r.RemoteAddr)
	if forwarded := strings.Join(r.Header["X-Forwarded-For"], ","); forwarded != "" && addr.IsLoopback() {
		last := forwarded[strings.LastIndex(forwarded, ",")+1:]
		if a := addressOf(strings.TrimSpace(last)); a.IsValid() {
			addr = a
		}
	}
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	client, _ := addr.Prefix(bits) // the zero prefix stands for whatever is no address
	return client
}

func addressOf(text string) netip.Addr {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	addr, _ := netip.ParseAddr(text)
	return addr.Unmap().WithZone("")
}
