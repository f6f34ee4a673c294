package api

import (
	"regexp"
	"strings"
	"testing"
)

// The page, its style, script and icon come from the node, and nothing they name
// comes from elsewhere.
func TestPage(t *testing.T) {
	n := newNode(t, nodeConfig{})
	types := map[string]string{"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript", "/icon.svg": "image/svg+xml"}
	elsewhere := regexp.MustCompile(`(?i)(src|href|url|import|fetch)\s*[=(]?\s*["'(]?\s*(https?:)?//`)
	for path, mediaType := range types {
		a := n.get(path)
		if got := a.header.Get("Content-Type"); a.status != 200 || !strings.HasPrefix(got, mediaType) {
			t.Errorf("%s: %d, content type %q", path, a.status, got)
		}
		policy := a.header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if found := elsewhere.FindString(a.body); found != "" {
			t.Errorf("%s names something elsewhere: %s", path, found)
		}
		etag := a.header.Get("ETag")
		if again := n.get(path, "If-None-Match", etag); etag == "" || again.status != 304 {
			t.Errorf("%s: asked again with %q: %d", path, etag, again.status)
		}
	}
	page := n.get("/").body
	for _, call := range []string{"/create-transaction", "/mine", "/chain", "/register-node", "/sync-chain"} {
		if !strings.Contains(page, `data-path="`+call+`"`) {
			t.Errorf("the page does not show %s", call)
		}
	}
	for _, inline := range []string{"<style", "style=", "<script>", "onclick", "javascript:"} {
		if strings.Contains(page, inline) {
			t.Errorf("the page has %s, which its policy forbids", inline)
		}
	}
	for _, named := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		// Relative to the page, because a proxy may serve the node under a path.
		if a := n.get("/" + named[1]); a.status != 200 || named[1][0] == '/' {
			t.Errorf("the page names %s, which gives %d", named[1], a.status)
		}
	}
}
