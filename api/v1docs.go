package api

import (
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// docFiles are the page that shows the OpenAPI document, and what it needs: Swagger
// UI (Apache License 2.0), compressed. Nothing is loaded from elsewhere.
//
//go:embed docs
var docFiles embed.FS

// docPages returns what serves the page that shows the OpenAPI document, and its
// files, by path.
func docPages() map[string]handler {
	pages := make(map[string]handler)
	for _, file := range []struct{ path, name, media string }{
		{"/docs", "docs/index.html", "text/html; charset=utf-8"},
		{"/docs/start.js", "docs/start.js", "text/javascript; charset=utf-8"},
		{"/docs/swagger-ui-bundle.js", "docs/swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8"},
		{"/docs/swagger-ui.css", "docs/swagger-ui.css.gz", "text/css; charset=utf-8"},
	} {
		pages[file.path] = func(w *response, r *http.Request) error {
			content, err := docFiles.ReadFile(file.name)
			if err != nil {
				return err
			}
			w.Header().Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:")
			return writeFile(w, r, file.media, content, strings.HasSuffix(file.name, ".gz"))
		}
	}
	return pages
}

// document returns the OpenAPI document.
func (d *docs) document() ([]byte, error) {
	document, err := json.Marshal(d.api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("the OpenAPI document: %w", err)
	}
	return document, nil
}

// widen corrects what huma says of unsigned numbers of 32 bits: an int32 would not
// hold half of them.
func (d *docs) widen() {
	document := d.api.OpenAPI()
	for _, schema := range document.Components.Schemas.Map() {
		widen(schema)
	}
	for _, path := range document.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Post, path.Delete} {
			if op != nil {
				widenCall(op)
			}
		}
	}
}

func widenCall(op *huma.Operation) {
	for _, p := range op.Parameters {
		widen(p.Schema)
	}
	if op.RequestBody != nil {
		widenAll(op.RequestBody.Content)
	}
	for _, response := range op.Responses {
		widenAll(response.Content)
	}
}

func widenAll(content map[string]*huma.MediaType) {
	for _, media := range content {
		widen(media.Schema)
	}
}

func widen(s *huma.Schema) {
	if s == nil {
		return
	}
	if s.Format == "int32" && s.Minimum != nil {
		s.Format = "int64"
	}
	widen(s.Items)
	for _, property := range s.Properties {
		widen(property)
	}
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
