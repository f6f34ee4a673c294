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
	hosts    map[string]bool // names and addresses that are allowed besides loopback
}

func newGuard(cfg *Config) guard {
	g := guard{loopback: cfg.Loopback, open: cfg.Open, token: cfg.Token, hosts: make(map[string]bool)}
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
	return refuse(http.StatusMisdirectedRequest, "this node does not answer to the host %s; "+
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

// crossOrigin knows what browsers say about where a request comes from.
var crossOrigin = http.NewCrossOriginProtection()

// checkSite refuses what a browser sends on behalf of another site, and what it
// fetches before its user has asked. The library lets every GET pass; here two
// of them change something, so each request is checked as if it were a POST.
func checkSite(r *http.Request) error {
	err := crossOrigin.Check(&http.Request{Method: http.MethodPost, Header: r.Header, Host: r.Host})
	if err != nil || foreignReferer(r) || strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		return refuse(http.StatusForbidden, "%s changes something, so a web page of another site may not ask for it; "+
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

// checkToken asks for the node's bearer token where others can reach the node.
func (g *guard) checkToken(r *http.Request) error {
	if g.open || g.loopback && loopbackName(hostName(r.Host)) && !forwarded(r) {
		return nil
	}
	if g.token == "" {
		return challenge{refuse(http.StatusUnauthorized, "%s is answered only to this machine itself, because the node was "+
			"started without a token; `--open` lets everyone who can reach it", r.URL.Path), bearer}
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return challenge{refuse(http.StatusUnauthorized, "%s needs the node's token in a header: `Authorization: Bearer TOKEN`; "+
			"when the node starts it names the file that holds it", r.URL.Path), bearer}
	}
	if !sameSecret(strings.TrimSpace(token), g.token) {
		return challenge{refuse(http.StatusUnauthorized, "this is not the node's token; when the node starts it names the "+
			"file that holds it"), bearer + `, error="invalid_token"`}
	}
	return nil
}

const bearer = `Bearer realm="cairn"`

// forwarded says that a proxy passed the request on, so that it may come from
// anywhere although the connection is from this machine.
func forwarded(r *http.Request) bool {
	return r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != ""
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
