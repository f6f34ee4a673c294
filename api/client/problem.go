package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// ProblemType is the media type of an answer that is a Problem.
const ProblemType = "application/problem+json"

// Problem says why a node refused a request, in the form of RFC 9457. The
// client returns it as an error, so errors.As finds it.
type Problem struct {
	Type   string `json:"type"`   // "about:blank": the status says what kind of problem it is
	Title  string `json:"title"`  // the status in words
	Status int    `json:"status"` // the HTTP status
	Detail string `json:"detail"` // what was wrong and what would be right
}

// NewProblem returns the problem with this HTTP status and detail.
func NewProblem(status int, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// Error returns the detail with the status in front.
func (p *Problem) Error() string {
	return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail)
}

// maxProblem is the most bytes of a refusal that are read.
const maxProblem = 64 << 10

// readProblem makes a Problem of an answer that is not a success, whatever its
// body: a proxy in between may answer in its own words.
func readProblem(resp *http.Response) *Problem {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem)) // what arrived of it is enough to tell
	p := NewProblem(resp.StatusCode, "")
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media == ProblemType && json.Unmarshal(body, p) == nil && p.Detail != "" {
		p.Status = resp.StatusCode
		return p
	}
	p = NewProblem(resp.StatusCode, strings.ToValidUTF8(strings.TrimSpace(string(body[:min(len(body), 200)])), ""))
	if p.Detail == "" || strings.HasPrefix(p.Detail, "<") {
		p.Detail = "the answer does not say why; is this the address of a Cairn node?"
	}
	return p
}
