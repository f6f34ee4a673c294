package api

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"cairn/api/client"
)

// The calls of /v1 are registered with huma, which reads their parameters and makes
// the OpenAPI document out of the same declarations. Bodies and answers are read and
// written here, as those of the classic calls are.

// docVersion is that of the document: of /v1, not of the program.
const docVersion = "1.0.0"

func init() {
	// What huma finds wrong with parameters is answered like all else.
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		rule := client.ErrInvalidValue
		if status == 0 { // a sample, for the document
			rule = client.ErrInternal
		}
		details := []string{}
		for _, err := range errs {
			var d *huma.ErrorDetail
			if errors.As(err, &d) {
				details = append(details, strings.TrimPrefix(strings.TrimPrefix(d.Location, "query."), "path.")+": "+d.Message)
			} else if err != nil {
				details = append(details, err.Error())
			}
		}
		if len(details) == 0 {
			details = append(details, message)
		}
		return refuse(rule, "%s", strings.Join(details, "; "))
	}
}

// v1 returns the calls of /v1 and the OpenAPI document. They are made when the first
// request for one comes: there is a lot to them, and a node is to start fast.
func (s *server) v1(other http.Handler) http.Handler {
	made := sync.OnceValue(func() http.Handler {
		mux := http.NewServeMux()
		d := newDocs(s, mux)
		d.register()
		d.widen()
		document := sync.OnceValues(d.document)
		mux.Handle("/openapi.json", s.handle(route{name: "docs", method: http.MethodGet, serve: func(w *response, _ *http.Request) error {
			body, err := document()
			if err != nil {
				return err
			}
			return writeBody(w, http.StatusOK, body)
		}}))
		mux.Handle("/", other)
		return mux
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { made().ServeHTTP(w, r) })
}

// docs holds the OpenAPI document in the making, and the mux that its calls are on.
type docs struct {
	s     *server
	mux   *http.ServeMux
	api   huma.API
	paths map[string]*methods
}

// methods are what can be done with one path. They are not left to the mux, which
// would take a method for more than the path that it is with.
type methods struct {
	names []string // as in Allow
	calls map[string]http.Handler
	other http.Handler // for those that there are none of
}

// ServeHTTP implements http.Handler.
func (m *methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	call := m.calls[method]
	if call == nil {
		call = m.other
	}
	call.ServeHTTP(w, r)
}

func newDocs(s *server, mux *http.ServeMux) *docs {
	cfg := huma.DefaultConfig("Cairn", docVersion)
	cfg.DocsPath, cfg.OpenAPIPath, cfg.SchemasPath, cfg.CreateHooks = "", "", "", nil
	cfg.RejectUnknownQueryParameters = true
	cfg.Info.Description = "The HTTP API of a Cairn node. Amounts are in base units, times in Unix seconds; " +
		"lists come in pages, each with the cursor of the next; refusals are RFC 9457 problems whose type names the rule."
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "Where others can reach the node: its own token, or one that `cairn token` made"},
	}
	d := &docs{s: s, mux: mux, paths: make(map[string]*methods)}
	d.api = huma.NewAPI(cfg, d)
	return d
}

// ServeHTTP implements huma.Adapter; the mux is served by New.
func (d *docs) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.mux.ServeHTTP(w, r) }

// Handle implements huma.Adapter: it puts a call on the mux, behind the checks that
// all calls have in common.
func (d *docs) Handle(op *huma.Operation, handler func(huma.Context)) {
	rt := route{name: op.Path, method: op.Method, changes: op.Method != http.MethodGet, scope: scopeOf(op)}
	rt.serve = func(w *response, r *http.Request) error {
		handler(humago.NewContext(op, r, w))
		return nil
	}
	m := d.paths[op.Path]
	if m == nil {
		m = &methods{calls: make(map[string]http.Handler)}
		m.other = d.s.wrap(op.Path, func(_ *response, r *http.Request) error {
			return methodError(r, strings.Join(m.names, ", "))
		})
		d.paths[op.Path] = m
		d.mux.Handle(op.Path, m)
	}
	m.calls[op.Method] = d.s.handle(rt)
	m.names = append(m.names, rt.methods())
	slices.Sort(m.names)
}

const scopeKey = "scope"

func scopeOf(op *huma.Operation) client.Scope {
	scope, _ := op.Metadata[scopeKey].(client.Scope)
	return scope
}

// needs marks a call as one for those whose token has a scope.
func needs(op huma.Operation, scope client.Scope) huma.Operation {
	op.Metadata = map[string]any{scopeKey: scope}
	op.Security = []map[string][]string{{"token": {string(scope)}}}
	return op
}

// get and its kin begin the description of a call.
func get(path, id, tag, summary string) huma.Operation {
	return huma.Operation{Method: http.MethodGet, Path: path, OperationID: id, Tags: []string{tag}, Summary: summary}
}

func post(path, id, tag, summary string) huma.Operation {
	op := get(path, id, tag, summary)
	op.Method = http.MethodPost
	return op
}

// answers adds to a call what it answers on success: a type of package client, or
// with none nothing but bytes.
func (d *docs) answers(op huma.Operation, status int, media string, t reflect.Type) huma.Operation {
	op.DefaultStatus = status
	response := &huma.Response{Description: http.StatusText(status)}
	if media != "" {
		response.Content = map[string]*huma.MediaType{media: {Schema: d.schema(t)}}
	}
	op.Responses = map[string]*huma.Response{strconv.Itoa(status): response}
	return op
}

// schema returns the schema of a type; of bytes, when there is none.
func (d *docs) schema(t reflect.Type) *huma.Schema {
	if t == nil {
		return &huma.Schema{Type: huma.TypeString, Format: "binary"}
	}
	return huma.SchemaFromType(d.api.OpenAPI().Components.Schemas, t)
}

// takes adds a body to a call: JSON of a type, bytes, or either.
func (d *docs) takes(op huma.Operation, content map[string]reflect.Type) huma.Operation {
	body := &huma.RequestBody{Required: true, Content: make(map[string]*huma.MediaType)}
	for media, t := range content {
		body.Content[media] = &huma.MediaType{Schema: d.schema(t)}
	}
	op.RequestBody = body
	return op
}

// call registers a call that writes its own answer. In holds its parameters. The
// body that it takes is only documented: huma would read it before the call does.
func call[In any](d *docs, op huma.Operation, serve func(w *response, r *http.Request, in *In) error) {
	takes := op.RequestBody
	op.RequestBody = nil
	huma.Register(d.api, op, func(_ context.Context, in *In) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, rw := humago.Unwrap(ctx)
			w := rw.(*response) // Handle passes nothing else
			if err := serve(w, r, in); err != nil {
				d.s.fail(w, r, err)
			}
		}}, nil
	})
	if takes != nil {
		d.api.OpenAPI().Paths[op.Path].Post.RequestBody = takes
	}
}

// endpoint registers a call that answers with the JSON of Out.
func endpoint[In, Out any](d *docs, op huma.Operation, serve func(ctx context.Context, in *In) (Out, error)) {
	status := op.DefaultStatus
	if status == 0 {
		status = http.StatusOK
	}
	op = d.answers(op, status, mediaJSON, reflect.TypeFor[Out]())
	call(d, op, func(w *response, r *http.Request, in *In) error {
		out, err := serve(r.Context(), in)
		if err != nil {
			return err
		}
		return writeJSON(w, status, out)
	})
}

const (
	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"
	mediaOctets = "application/octet-stream"
	mediaEvents = "text/event-stream"
)

// none are the parameters of a call that has none.
type none struct{}

// Paging are the parameters of a list. Like all that is embedded in parameters it is
// exported: huma passes over what is not.
type Paging struct {
	Cursor string `query:"cursor" doc:"Where the page begins: next of the page before; absent: at the first item" maxLength:"200"`
	Limit  int    `query:"limit" doc:"Most items" minimum:"1" maximum:"100" default:"20"`
}

// register registers the calls of /v1.
func (d *docs) register() {
	d.registerNode()
	d.registerBlocks()
	d.registerTransactions()
	d.registerAccounts()
	d.registerPool()
	d.registerProofs()
	d.registerEvents()
	d.registerTokens()
	d.registerPeers()
}
