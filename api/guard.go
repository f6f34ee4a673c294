package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"cairn/api/client"
)

// guard decides who may ask for what, before anything of a request but its
// headers is looked at.
type guard struct {
	loopback bool            // only this machine can reach the listener
	open     bool            // nobody needs a token
	token    string          // empty: nobody has one
	tokens   *tokens         // further ones
	hosts    map[string]bool // names and addresses that are allowed besides loopback
	origins  map[string]bool // of web pages that may use the API
	limits   *limiter
}

func newGuard(cfg *Config, t *tokens) guard {
	g := guard{
		loopback: cfg.Loopback, open: cfg.Open, token: cfg.Token, tokens: t,
		hosts: make(map[string]bool), origins: make(map[string]bool), limits: newLimiter(cfg.RateLimit),
	}
	for _, o := range cfg.AllowOrigins {
		g.origins[strings.ToLower(o)] = true
	}
	for _, h := range cfg.AllowedHosts {
		g.hosts[hostName(h)] = true
	}
	return g
}

// checkHost refuses a request for a host that is not this node. Without it, any
// web page could point a name of its own at this machine and, being then of the
// same origin, read and change everything (DNS rebinding). An address cannot be
// pointed elsewhere, so the one that the connection came to is always right.
func (g *guard) checkHost(r *http.Request) error {
	name := hostName(r.Host)
	if loopbackName(name) || g.hosts[name] {
		return nil
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		asked, err := netip.ParseAddr(name)
		if err == nil && asked.Unmap() == local.AddrPort().Addr().Unmap().WithZone("") {
			return nil
		}
	}
	return refuse(client.ErrHost, "this node does not answer to the host %s; "+
		"address it as localhost or by its IP address, or start it with --allow-host NAME", quote(r.Host))
}

// hostName returns the host of a Host header or a configured name, in the form
// in which two can be compared: without port, brackets and final dot, in lower
// case.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func loopbackName(name string) bool {
	if name == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.IsLoopback()
}

// share lets a web page of an allowed origin read the answer (CORS), and answers the
// question that its browser asks first; then there is nothing left to do.
func (g *guard) share(w http.ResponseWriter, r *http.Request) (answered bool) {
	if !g.allowedOrigin(r) {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Expose-Headers", "ETag, Location, Retry-After, WWW-Authenticate")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Add("Vary", "Origin")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// allowedOrigin tells whether a request is of a web page that may use the API.
func (g *guard) allowedOrigin(r *http.Request) bool {
	return g.origins[strings.ToLower(r.Header.Get("Origin"))]
}

// crossOrigin knows what browsers say about where a request comes from.
var crossOrigin = http.NewCrossOriginProtection()

// checkSite refuses what a browser sends on behalf of another site, and what it
// fetches before its user has asked. The library lets every GET pass; here two
// of them change something, so each request is checked as if it were a POST.
func (g *guard) checkSite(r *http.Request) error {
	if g.allowedOrigin(r) {
		return nil
	}
	err := crossOrigin.Check(&http.Request{Method: http.MethodPost, Header: r.Header, Host: r.Host})
	if err != nil || foreignReferer(r) || strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		return refuse(client.ErrCrossSite, "%s changes something, so a web page of another site may not ask for it; "+
			"use the page that this node serves at /, or a program that is not a browser", r.URL.Path)
	}
	return nil
}

// foreignReferer helps where browsers say less: to plain http off loopback they
// send no Sec-Fetch-Site, and with the GET of an image or a link no Origin.
func foreignReferer(r *http.Request) bool {
	referer := r.Header.Get("Referer")
	if referer == "" || r.Header.Get("Sec-Fetch-Site") != "" {
		return false
	}
	u, err := url.Parse(referer)
	return err != nil || u.Host != r.Host
}

// who is what is known of whoever makes a request.
type who struct {
	level    uint8 // what it may do
	stranger bool  // neither on this machine nor with a token
	token    bool  // it has a token
}

// know finds out who makes a request. Off this machine a token that is none of the
// node's is refused even where none is needed: whoever sends one believes that it
// counts.
func (g *guard) know(r *http.Request) (who, error) {
	local := (g.open || g.loopback && loopbackName(hostName(r.Host)) && !forwarded(r)) && !g.allowedOrigin(r)
	given := r.Header.Get("Authorization")
	if given == "" {
		if local {
			return who{level: level(client.ScopeOperate)}, nil
		}
		return who{level: level(client.ScopeSubmit), stranger: true}, nil
	}
	scheme, secret, _ := strings.Cut(given, " ")
	secret = strings.TrimSpace(secret)
	allows := g.tokens.levelOf(secret)
	if g.token != "" && sameSecret(secret, g.token) {
		allows = level(client.ScopeOperate)
	}
	switch {
	case strings.EqualFold(scheme, "Bearer") && allows > 0:
		return who{level: allows, token: true}, nil
	case local:
		return who{level: level(client.ScopeOperate)}, nil
	case !strings.EqualFold(scheme, "Bearer"):
		return who{}, challenge{refuse(client.ErrUnauthorised, "a token is sent in a header `Authorization: Bearer TOKEN`"), bearer}
	}
	return who{}, challenge{refuse(client.ErrUnauthorised, "this is not a token of this node, or no longer; when the node starts it names the "+
		"file that holds its own, and `cairn token` makes others"), bearer + `, error="invalid_token"`}
}

// check asks whoever makes a request for what a call needs.
func (g *guard) check(r *http.Request, needs client.Scope) (who, error) {
	w, err := g.know(r)
	if err != nil {
		return w, err
	}
	if w.stranger && !g.limits.allow(r) {
		return w, refuse(client.ErrRateLimited, "more than %d requests a second came from %s; ask less often, or get a token from the node's operator",
			int(g.limits.rate), clientOf(r).Addr())
	}
	if w.level >= level(needs) {
		return w, nil
	}
	if w.token {
		return w, refuse(client.ErrForbidden, "%s needs a token with the scope %q, and this one has %q", r.URL.Path, needs, scopes[w.level-1])
	}
	if g.token == "" {
		return w, challenge{refuse(client.ErrUnauthorised, "%s is answered only to this machine itself, because the node was "+
			"started without a token; `--open` lets everyone who can reach it", r.URL.Path), bearer}
	}
	return w, challenge{refuse(client.ErrUnauthorised, "%s needs the node's token in a header: `Authorization: Bearer TOKEN`; "+
		"when the node starts it names the file that holds it", r.URL.Path), bearer}
}

const bearer = `Bearer realm="cairn"`

// forwarded says that a proxy passed the request on, so that it may come from
// anywhere although the connection is from this machine.
func forwarded(r *http.Request) bool {
	return len(r.Header["Forwarded"]) > 0 || len(r.Header["X-Forwarded-For"]) > 0 // be it empty
}

// sameSecret compares in a time that tells nothing about either, their lengths
// included.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// challenge is a refusal that says how to authenticate.
type challenge struct {
	*client.Problem
	authenticate string
}

func (c challenge) Unwrap() error { return c.Problem }
