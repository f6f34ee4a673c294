package api

import (
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// docFiles are the page that shows the OpenAPI document, and what it needs: Swagger
// UI (Apache License 2.0), compressed. Nothing is loaded from elsewhere.
//
//go:embed docs
var docFiles embed.FS

// pages puts the OpenAPI document and the page that shows it on the mux.
func (d *docs) pages() error {
	document, err := json.Marshal(d.api.OpenAPI())
	if err != nil {
		return fmt.Errorf("the OpenAPI document: %w", err)
	}
	d.page("/openapi.json", func(w *response, _ *http.Request) error { return writeBody(w, http.StatusOK, document) })
	for _, file := range []struct{ path, name, media string }{
		{"/docs", "docs/index.html", "text/html; charset=utf-8"},
		{"/docs/start.js", "docs/start.js", "text/javascript; charset=utf-8"},
		{"/docs/swagger-ui-bundle.js", "docs/swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8"},
		{"/docs/swagger-ui.css", "docs/swagger-ui.css.gz", "text/css; charset=utf-8"},
	} {
		content, err := docFiles.ReadFile(file.name)
		if err != nil {
			return err
		}
		zipped := strings.HasSuffix(file.name, ".gz")
		d.page(file.path, func(w *response, r *http.Request) error {
			w.Header().Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:")
			return writeFile(w, r, file.media, content, zipped)
		})
	}
	return nil
}

func (d *docs) page(path string, serve handler) {
	d.mux.Handle(path, d.s.handle(route{name: "docs", method: http.MethodGet, serve: serve}))
}

// writeFile answers with a file that may be compressed, to whoever can read that.
func writeFile(w *response, r *http.Request, media string, content []byte, zipped bool) error {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "public, max-age=3600")
	if zipped && !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		plain, err := gzip.NewReader(strings.NewReader(string(content)))
		if err != nil {
			return err
		}
		if content, err = io.ReadAll(plain); err != nil {
			return err
		}
	} else if zipped {
		w.Header().Set("Content-Encoding", "gzip")
	}
	if zipped {
		w.Header().Set("Vary", "Accept-Encoding")
	}
	_, err := w.Write(content)
	return err
}
