package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// pageFiles is the page at / with its style, script and icon: plain files, which
// need no build step and load nothing from elsewhere.
//
//go:embed page
var pageFiles embed.FS

// pagePolicy lets the page load its own files and call its own node, and nothing
// else: no inline script or style, no frame around it.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// asset is a file that is served as it is.
type asset struct {
	name    string
	etag    string
	content []byte
}

// pageAssets returns the files of the page by the pattern under which they are
// served.
func pageAssets() map[string]asset {
	assets := make(map[string]asset)
	err := fs.WalkDir(pageFiles, "page", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := pageFiles.ReadFile(file)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		a := asset{name: path.Base(file), etag: `"` + hex.EncodeToString(sum[:8]) + `"`, content: content}
		pattern := "/" + a.name
		if a.name == "index.html" {
			pattern = "/{$}"
		}
		assets[pattern] = a
		return nil
	})
	if err != nil { // the files are part of the program
		panic(fmt.Sprintf("api: the page: %v", err))
	}
	return assets
}

func (a asset) serve(w *response, r *http.Request) error {
	header := w.Header()
	header.Set("ETag", a.etag)
	header.Set("Cache-Control", "no-cache") // kept, but asked about each time
	header.Set("Content-Security-Policy", pagePolicy)
	http.ServeContent(w, r, a.name, time.Time{}, bytes.NewReader(a.content))
	return nil
}
