package api

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser finds a browser on this machine. .ci/run installs one.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("there is no Chromium on this machine to open the page with")
	return ""
}

// The documentation page shows every call in a real browser, asks nobody else for
// anything, and its forms reach the node.
func TestDocsInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds")
	}
	path := browser(t)
	n := newNode(t, nodeConfig{})
	server := httptest.NewServer(n.handler)
	defer server.Close()

	profile, err := os.MkdirTemp("", "cairn-browser-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(profile)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoSandbox)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()

	var mu sync.Mutex
	var faults []string
	asked := 0
	note := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		faults = append(faults, text)
	}
	err = chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			mu.Lock()
			asked++
			mu.Unlock()
			if !strings.HasPrefix(e.Request.URL, server.URL) && !strings.HasPrefix(e.Request.URL, "data:") {
				note("it asks for " + e.Request.URL)
			}
		case *network.EventResponseReceived:
			if e.Response.Status >= 400 {
				note(e.Response.URL + " was refused")
			}
		case *runtime.EventExceptionThrown:
			note(e.ExceptionDetails.Text)
		}
	})
	const call = "#operations-Node-get-network "
	if err == nil {
		_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	}
	if err == nil {
		err = chromedp.Do(ctx,
			chromedp.Navigate(server.URL+"/docs"),
			chromedp.WaitVisible(chromedp.CSS(".opblock")),
			chromedp.Click(chromedp.CSS(call)),
			chromedp.Click(chromedp.CSS(call+".try-out__btn")),
			chromedp.Click(chromedp.CSS(call+".execute")),
			chromedp.WaitVisible(chromedp.CSS(call+".live-responses-table .response-col_description")),
		)
	}
	if err != nil {
		t.Fatal(err)
	}
	ask := func(expression string) string {
		t.Helper()
		answer, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression))
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	title := ask("document.title")
	calls, _ := strconv.Atoi(ask(`String(document.querySelectorAll(".opblock").length)`))
	answer := ask(`document.querySelector("` + call + `.live-responses-table").innerText`)
	want := strings.Count(n.get("/openapi.json").body, `"operationId"`)
	if calls != want || want < 20 || title != "Cairn: the API" {
		t.Errorf("the page %q shows %d calls, the document has %d", title, calls, want)
	}
	if !strings.Contains(answer, `"chain_id"`) || !strings.Contains(answer, "200") {
		t.Errorf("the form answered %q", answer)
	}
	mu.Lock()
	defer mu.Unlock()
	if asked < 5 {
		t.Errorf("the browser asked for %d things", asked)
	}
	for _, f := range faults {
		t.Error(f)
	}
}
