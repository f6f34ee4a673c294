package api

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"net/url"
	pathpkg "path"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"cairn/api/client"
)

// document is /openapi.json, and what of it has been exercised.
type document struct {
	t        testing.TB
	root     map[string]any
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema // by JSON pointer
	seen     map[string]bool               // "get /v1/x 200", "get /v1/x ?limit"
}

func newDocument(t testing.TB, n *testNode) *document {
	t.Helper()
	a := n.get("/openapi.json")
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: %d %v", a.what, a.status, a.header)
	}
	root, err := jsonschema.UnmarshalJSON(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	d := &document{
		t: t, root: root.(map[string]any), compiler: jsonschema.NewCompiler(),
		schemas: make(map[string]*jsonschema.Schema), seen: make(map[string]bool),
	}
	if d.root["openapi"] != "3.1.0" { // whose schemas are those of 2020-12
		t.Fatalf("openapi %v", d.root["openapi"])
	}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	d.compiler.RegisterFormat(&jsonschema.Format{Name: "int32", Validate: within(math.MinInt32, math.MaxInt32)})
	d.compiler.RegisterFormat(&jsonschema.Format{Name: "int64", Validate: within(math.MinInt64, math.MaxInt64)})
	if err := d.compiler.AddResource("openapi.json", root); err != nil {
		t.Fatal(err)
	}
	return d
}

// within is a format of numbers; what is no number has no such format.
func within(least, most int64) func(any) error {
	return func(v any) error {
		number, ok := v.(interface{ Int64() (int64, error) })
		if !ok {
			return nil
		}
		if n, err := number.Int64(); err != nil || n < least || n > most {
			return fmt.Errorf("%v is not from %d to %d", v, least, most)
		}
		return nil
	}
}

func (d *document) paths() map[string]any { return d.root["paths"].(map[string]any) }

// operations yields every call as "method /path", sorted.
func (d *document) operations() (all []string) {
	for path, methods := range d.paths() {
		for method := range methods.(map[string]any) {
			all = append(all, method+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

func (d *document) operation(method, path string) map[string]any {
	return d.paths()[path].(map[string]any)[method].(map[string]any)
}

// template finds the path of the document that a request is for.
func (d *document) template(method, path string) string {
	d.t.Helper()
	best, variables := "", math.MaxInt
	for template, methods := range d.paths() {
		if methods.(map[string]any)[method] != nil && matches(template, path) && strings.Count(template, "{") < variables {
			best, variables = template, strings.Count(template, "{")
		}
	}
	if best == "" {
		d.t.Fatalf("%s %s is not in the document", method, path)
	}
	return best
}

func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, "{") })
}

// check holds an answer to the document, and the body of a request that succeeded.
func (d *document) check(a answer, method, target, body string, header ...string) {
	d.t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		d.t.Fatal(err)
	}
	method = strings.ToLower(method)
	path := d.template(method, u.EscapedPath())
	op := d.operation(method, path)
	status := fmt.Sprint(a.status)
	responses := op["responses"].(map[string]any)
	if responses[status] == nil {
		status = "default"
	}
	d.seen[fmt.Sprint(method, " ", path, " ", status)] = true
	at := pointer("paths", path, method)
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	content, _ := responses[status].(map[string]any)["content"].(map[string]any)
	switch {
	case len(content) == 0:
		if a.body != "" {
			d.t.Errorf("%s: answered %q, where the document has nothing", a.what, shorten(a.body))
		}
	case content[media] == nil:
		d.t.Errorf("%s: answered %d with %q, the document has %v", a.what, a.status, media, slices.Collect(maps.Keys(content)))
	default:
		for _, value := range valuesOf(media, a.body) {
			d.validate(a.what, at+pointer("responses", status, "content", media, "schema"), value)
		}
	}
	if status == "default" {
		return
	}
	for _, p := range parameters(op) {
		if given(p, u, header) {
			d.seen[fmt.Sprint(method, " ", path, " ?", p["name"])] = true
		}
	}
	if body != "" {
		media := "application/json"
		if i := slices.Index(header, "Content-Type"); i >= 0 {
			media = header[i+1]
		}
		for _, value := range valuesOf(media, body) {
			d.validate(a.what+", its body", at+pointer("requestBody", "content", media, "schema"), value)
		}
	}
}

func parameters(op map[string]any) (all []map[string]any) {
	list, _ := op["parameters"].([]any)
	for _, p := range list {
		all = append(all, p.(map[string]any))
	}
	return all
}

func given(p map[string]any, u *url.URL, header []string) bool {
	name := p["name"].(string)
	switch p["in"] {
	case "path":
		return true
	case "query":
		return u.Query().Has(name)
	}
	return slices.Contains(header, name)
}

// valuesOf returns the values of JSON in a body: one, one on each line, or one in
// each event; none where the body is no JSON.
func valuesOf(media, body string) (values []string) {
	switch media {
	case mediaJSON, client.ProblemType:
		return []string{body}
	case mediaNDJSON:
		return strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	case mediaEvents:
		lines := bufio.NewScanner(strings.NewReader(body))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				values = append(values, data)
			}
		}
	}
	return values
}

// pointer is a part of a JSON pointer (RFC 6901).
func pointer(keys ...string) (p string) {
	for _, key := range keys {
		p += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
	}
	return p
}

func (d *document) validate(what, at, value string) {
	d.t.Helper()
	schema := d.schemas[at]
	if schema == nil {
		var err error
		if schema, err = d.compiler.Compile("openapi.json#" + url.PathEscape(at)); err != nil {
			d.t.Fatalf("the schema at %s: %v", at, err)
		}
		d.schemas[at] = schema
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(value))
	if err != nil {
		d.t.Errorf("%s: %q is no JSON: %v", what, value, err)
		return
	}
	if err := schema.Validate(v); err != nil {
		var invalid *jsonschema.ValidationError
		errors.As(err, &invalid)
		d.t.Errorf("%s: %s\n%v", what, value, invalid)
	}
}

// strict fails for a schema that would let through what it does not name.
func (d *document) strict() {
	d.t.Helper()
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if v["type"] == "object" && v["properties"] != nil && v["additionalProperties"] != false {
				d.t.Errorf("%s has properties and lets others through", at)
			}
			for key, value := range v {
				walk(at+pointer(key), value)
			}
		case []any:
			for i, value := range v {
				walk(fmt.Sprint(at, "/", i), value)
			}
		}
	}
	walk("", d.root)
}

// complete fails for what the document has and no request exercised.
func (d *document) complete() {
	d.t.Helper()
	for _, call := range d.operations() {
		method, path, _ := strings.Cut(call, " ")
		op := d.operation(method, path)
		for status := range op["responses"].(map[string]any) {
			if !d.seen[call+" "+status] {
				d.t.Errorf("%s: nothing was answered with the status %s", call, status)
			}
		}
		var inPath []string
		for _, p := range parameters(op) {
			if !d.seen[call+" ?"+p["name"].(string)] {
				d.t.Errorf("%s: the parameter %s was not tried", call, p["name"])
			}
			if p["in"] == "path" {
				inPath = append(inPath, "{"+p["name"].(string)+"}")
			}
		}
		for part := range strings.SplitSeq(path, "/") {
			if strings.HasPrefix(part, "{") && !slices.Contains(inPath, part) {
				d.t.Errorf("%s: the parameter %s is not described", call, part)
			}
		}
	}
}

// TestDocumentOfEveryCall looks for calls that the document does not have, in what
// is registered.
func TestDocumentOfEveryCall(t *testing.T) {
	n := newNode(t, nodeConfig{})
	d := newDocument(t, n)
	d.strict()
	for path, methods := range d.paths() {
		allowed := n.do("BREW", strings.NewReplacer("{", "", "}", "").Replace(path), "").header.Get("Allow")
		var want []string
		for method := range methods.(map[string]any) {
			if method = strings.ToUpper(method); method == http.MethodGet {
				method = "GET, HEAD"
			}
			want = append(want, method)
		}
		slices.Sort(want)
		if got := strings.Join(want, ", "); got != allowed {
			t.Errorf("%s: the document has %s, the node allows %s", path, got, allowed)
		}
	}
}

// The page that shows the document is whole: it loads nothing from elsewhere, and
// what it loads is there, compressed or not.
func TestDocumentPage(t *testing.T) {
	n := newNode(t, nodeConfig{})
	page := n.get("/docs")
	if page.status != 200 || page.header.Get("Content-Type") != "text/html; charset=utf-8" || strings.Contains(page.body, "://") {
		t.Errorf("%d %v %s", page.status, page.header, page.body)
	}
	for _, path := range []string{"/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"} {
		if path != "/docs" && !strings.Contains(page.body, pathpkg.Base(path)) {
			t.Errorf("the page does not load %s", path)
		}
		whole := n.get(path)
		if whole.status != 200 || whole.header.Get("Content-Encoding") != "" || len(whole.body) == 0 ||
			!strings.HasPrefix(whole.header.Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s: %d %v", path, whole.status, whole.header)
		}
		zipped := n.get(path, "Accept-Encoding", "gzip, br")
		body := zipped.body
		if zipped.header.Get("Content-Encoding") == "gzip" {
			r, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			body = string(b)
		}
		if body != whole.body {
			t.Errorf("%s: compressed it is another", path)
		}
		if a := n.do(http.MethodHead, path, ""); a.status != 200 {
			t.Errorf("%s: %d", a.what, a.status)
		}
		n.post(path, "").refused(405)
	}
	if start := n.get("/docs/start.js").body; !strings.Contains(start, "openapi.json") {
		t.Errorf("the page shows %s", start)
	}
}
