package forum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// fakeFeed keeps what is put, or fails with err.
type fakeFeed struct {
	payloads []string
	err      error
	log      strings.Builder // of the forum
}

func (f *fakeFeed) put(_ context.Context, _ string, payload []byte) error {
	if f.err == nil {
		f.payloads = append(f.payloads, string(payload))
	}
	return f.err
}

// client is somebody with a browser that keeps cookies.
type client struct {
	t       *testing.T
	forum   *Application
	cookies []*http.Cookie
}

func newForum(t *testing.T, feed *fakeFeed) *client {
	t.Helper()
	a, err := New(Config{Log: zerolog.New(&feed.log), Put: feed.put, Threads: []Thread{{"demo", "1"}, {"big", "9007199254740993"}}, Hosts: []string{"https://push.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	return &client{t: t, forum: a}
}

// ask returns the status and the text of an answer.
func (c *client) ask(method, url, body string, header ...string) (int, string) {
	c.t.Helper()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for _, value := range header {
		r.Header.Set("Content-Type", value)
	}
	for _, cookie := range c.cookies {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	c.forum.Handler().ServeHTTP(w, r)
	c.cookies = append(c.cookies, w.Result().Cookies()...)
	return w.Code, w.Body.String()
}

// page returns what thread 1 shows to a client.
func (c *client) page() page {
	c.t.Helper()
	code, text := c.ask("GET", "/api/threads/1", "")
	var p page
	if err := json.Unmarshal([]byte(text), &p); err != nil || code != http.StatusOK {
		c.t.Fatalf("%d %s", code, text)
	}
	return p
}

func TestRequests(t *testing.T) {
	long := strings.Repeat("ä", maxMessage)
	escaped := `"` + strings.Repeat(`\ud83d\ude00`, maxMessage) + `"`
	const comments = "/api/threads/1/comments"
	for name, test := range map[string]struct {
		method, url, body, contentType string
		code                           int
		want                           string // in the answer
	}{
		"good":              {"POST", comments, `{"author":"Ann","message":"Hi","parent":null}`, "", 201, `{"post":9000000001,"id":"c9000000001.1"}`},
		"with a charset":    {"POST", comments, `{"author":"Ann","message":"Hi"}`, "application/json; charset=utf-8", 201, "9000000001"},
		"a big thread":      {"POST", "/api/threads/9007199254740993/comments", `{"author":"Ann","message":"Hi"}`, "", 201, "9000000001"},
		"longest":           {"POST", comments, `{"author":"` + strings.Repeat("😀", maxAuthor) + `","message":"` + long + `"}`, "", 201, "9000000001"},
		"longest, escaped":  {"POST", comments, `{"author":"Ann","message":` + escaped + `}`, "", 201, "9000000001"},
		"no thread":         {"POST", "/api/threads/77/comments", `{"author":"Ann","message":"Hi"}`, "", 404, `There is no thread "77".`},
		"no such thread":    {"GET", "/api/threads/77", "", "", 404, `There is no thread "77".`},
		"form":              {"POST", comments, "author=Ann", "application/x-www-form-urlencoded", 415, "Content-Type must be application/json."},
		"no type":           {"POST", comments, `{"author":"Ann","message":"Hi"}`, "/", 415, "Content-Type must be application/json."},
		"too large":         {"POST", comments, `{"message":"` + strings.Repeat("x", maxRequest) + `"}`, "", 413, "at most 32768 bytes"},
		"no JSON":           {"POST", comments, `hello`, "", 400, "Want one JSON object of author, message, parent and key"},
		"two":               {"POST", comments, `{"author":"Ann","message":"Hi"}{}`, "", 400, "Want one JSON object"},
		"array":             {"POST", comments, `["Ann","Hi"]`, "", 400, "Want one JSON object"},
		"null":              {"POST", comments, `null`, "", 400, "Want one JSON object"},
		"another member":    {"POST", comments, `{"author":"Ann","message":"Hi","event":"post_delete"}`, "", 400, "Want one JSON object"},
		"number as author":  {"POST", comments, `{"author":7,"message":"Hi"}`, "", 400, "Want one JSON object"},
		"no UTF-8":          {"POST", comments, "{\"author\":\"Ann\xff\",\"message\":\"Hi\"}", "", 400, "in UTF-8"},
		"no author":         {"POST", comments, `{"author":"  ","message":"Hi"}`, "", 400, "A name has 1 to 40 characters, and not 0."},
		"long author":       {"POST", comments, `{"author":"` + strings.Repeat("ä", maxAuthor+1) + `","message":"Hi"}`, "", 400, "and not 41."},
		"control in author": {"POST", comments, `{"author":"A\nn","message":"Hi"}`, "", 400, "no control characters"},
		"no message":        {"POST", comments, `{"author":"Ann"}`, "", 400, "A comment has 1 to 2000 characters, and not 0."},
		"long message":      {"POST", comments, `{"author":"Ann","message":"` + long + `ä"}`, "", 400, "and not 2001."},
		"no parent":         {"POST", comments, `{"author":"Ann","message":"Hi","parent":7}`, "", 400, "The comment that this one answers is gone."},
		"edit of nothing":   {"PATCH", "/api/comments/7", `{"message":"Hi"}`, "", 404, "This comment is gone."},
		"delete nothing":    {"DELETE", "/api/comments/7", "", "", 404, "This comment is gone."},
		"presence":          {"POST", "/api/threads/1/presence", `{"leaving":false}`, "", 204, ""},
		"presence nowhere":  {"POST", "/api/threads/7/presence", `{"leaving":false}`, "", 404, "There is no thread"},
		"another method":    {"PUT", comments, `{}`, "", 405, "Method Not Allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			var feed fakeFeed
			header := []string{test.contentType}
			if test.contentType == "" {
				header = nil
			}
			code, text := newForum(t, &feed).ask(test.method, test.url, test.body, header...)
			if code != test.code || !strings.Contains(text, test.want) {
				t.Errorf("%d %s, want %d %s", code, text, test.code, test.want)
			}
			if put := len(feed.payloads) > 0; put != (test.code/100 == 2) {
				t.Errorf("put %q", feed.payloads)
			}
		})
	}
}

// TestAComment writes, answers, edits and deletes, and looks at the jobs and at what others see.
func TestAComment(t *testing.T) {
	var feed fakeFeed
	ann := newForum(t, &feed)
	bo := &client{t: t, forum: ann.forum}
	ann.page()
	for _, step := range []struct {
		who               *client
		method, url, body string
		code              int
		job               string // begins so
	}{
		{ann, "POST", "/api/threads/1/comments", `{"author":" Ann ","message":" <b>Hi</b><script>x</script>\n"}`, 201, `{"id":"c9000000001.1","event":"post_save","post":9000000001,"revision":1,"forum":"demo","thread":1,"parent":null,"author":{"id":"visitor:Ann","username":"visitor","name":"Ann","email":"visitor@example.org","ip":"192.0.2.1"},"message":"`},
		{bo, "POST", "/api/threads/1/comments", `{"author":"Bo","message":"Yes","parent":9000000001}`, 201, `{"id":"c9000000002.1","event":"post_save","post":9000000002,"revision":1,"forum":"demo","thread":1,"parent":9000000001,`},
		{bo, "PATCH", "/api/comments/9000000001", `{"message":"Mine"}`, 403, ""},
		{bo, "DELETE", "/api/comments/9000000001", "", 403, ""},
		{ann, "PATCH", "/api/comments/9000000001", `{"message":"Hello"}`, 200, `{"id":"c9000000001.2","event":"post_save","post":9000000001,"revision":2,`},
		{bo, "DELETE", "/api/comments/9000000002", "", 200, `{"id":"c9000000002.2","event":"post_delete","post":9000000002,"revision":2,"forum":"demo","thread":1,`},
		{bo, "DELETE", "/api/comments/9000000002", "", 404, ""},
	} {
		feed.payloads = nil
		if code, text := step.who.ask(step.method, step.url, step.body); code != step.code {
			t.Errorf("%s %s: %d %s", step.method, step.url, code, text)
		}
		if got := strings.Join(feed.payloads, ""); !strings.HasPrefix(got, step.job) || (got == "") != (step.job == "") {
			t.Errorf("%s %s: put %s", step.method, step.url, got)
		}
	}
	for who, own := range map[*client]bool{ann: true, bo: false} {
		p := who.page()
		if len(p.Comments) != 1 || p.Forum != "demo" || p.Channels[0] != "thread:1" || p.Hosts[0] != "https://push.example.com" {
			t.Fatalf("%+v", p)
		}
		if c := p.Comments[0]; c.Message != "Hello" || c.Revision != 2 || c.Own != own || c.Author != (publicAuthor{"Ann", "visitor"}) || c.CreatedAt == "" {
			t.Errorf("%+v", c)
		}
	}
}

// TestACommentThatComesAgain is one comment, unless somebody else writes it, or it has another key or none.
func TestACommentThatComesAgain(t *testing.T) {
	var feed fakeFeed
	ann := newForum(t, &feed)
	bo := &client{t: t, forum: ann.forum}
	ann.page()
	for i, step := range []struct {
		who  *client
		key  string
		want string // the comment's number ends so
	}{{ann, "k1", "1"}, {ann, "k1", "1"}, {ann, "k2", "2"}, {bo, "k1", "3"}, {ann, "", "4"}, {ann, "", "5"}, {ann, "k1", "1"}} {
		code, text := step.who.ask("POST", "/api/threads/1/comments", fmt.Sprintf(`{"author":"Ann","message":"Hi","key":%q}`, step.key))
		if want := fmt.Sprintf(`{"post":900000000%[1]s,"id":"c900000000%[1]s.1"}`, step.want); code != http.StatusCreated || text != want {
			t.Errorf("%d: %d %s, want %s", i, code, text, want)
		}
	}
	if len(feed.payloads) != 5 {
		t.Errorf("put %q", feed.payloads)
	}
}

// TestWhatIsShownIsClean looks at what visitors get to see of what is no joke.
func TestWhatIsShownIsClean(t *testing.T) {
	c := newForum(t, new(fakeFeed))
	c.ask("POST", "/api/threads/1/comments", `{"author":"<i>Ann</i>","message":"<b>Hi</b><script>x</script>"}`)
	c.ask("POST", "/api/threads/1/comments", `{"author":"Ann &`+strings.Repeat("amp;", 9)+`","message":"never clean"}`)
	if p := c.page(); len(p.Comments) != 1 || p.Comments[0].Message != "<b>Hi</b>" || p.Comments[0].Author.Name != "Ann" {
		t.Errorf("%+v", p.Comments)
	}
}

// TestImport shows what others have written, the last of it.
func TestImport(t *testing.T) {
	c := newForum(t, new(fakeFeed))
	tell := func(payload string) {
		t.Helper()
		if err := c.forum.Import(t.Context(), "id", []byte(payload)); err != nil {
			t.Error(err)
		}
	}
	for i := range mostComments + 2 {
		tell(fmt.Sprintf(`{"event":"post_save","post":%d,"revision":1,"thread":1,"author":{"name":"Ann"},"message":"%[1]d","createdAt":"2026-01-01T00:00:00Z"}`, i))
	}
	tell(`{"event":"post_save","post":7,"revision":2,"thread":1,"author":{"name":"Ann"},"message":"edited","createdAt":"2026-02-02T00:00:00Z"}`)
	tell(`{"event":"post_delete","post":8,"revision":2,"thread":1}`)
	tell(`{"event":"post_save","post":9,"thread":77}`)
	tell(`no envelope`)
	p := c.page()
	if len(p.Comments) != mostComments-1 || p.Comments[0].Message != "2" {
		t.Errorf("%d, from %+v", len(p.Comments), p.Comments[0])
	}
	if edited := p.Comments[5]; edited.Message != "edited" || edited.Revision != 2 || edited.CreatedAt != "2026-01-01T00:00:00Z" || edited.Own {
		t.Errorf("%+v", edited)
	}
	if code, _ := c.ask("PATCH", "/api/comments/7", `{"message":"Mine"}`); code != http.StatusForbidden {
		t.Errorf("%d", code)
	}
}

// TestAFeedThatFails changes nothing. The log tells why, and visitors are not told.
func TestAFeedThatFails(t *testing.T) {
	var feed fakeFeed
	c := newForum(t, &feed)
	c.ask("POST", "/api/threads/1/comments", `{"author":"Ann","message":"Hi"}`)
	feed.err = errors.New("put on feed: no answer")
	for _, request := range [][3]string{
		{"POST", "/api/threads/1/comments", `{"author":"Ann","message":"lost"}`},
		{"PATCH", "/api/comments/9000000001", `{"message":"lost"}`},
		{"DELETE", "/api/comments/9000000001", ""},
	} {
		if code, text := c.ask(request[0], request[1], request[2]); code != http.StatusInternalServerError || text != "This does not work now.\n" {
			t.Errorf("%s: %d %s", request, code, text)
		}
	}
	if n := strings.Count(feed.log.String(), "put on feed: no answer"); n != 3 {
		t.Errorf("the log has it %d times: %s", n, feed.log.String())
	}
	if p := c.page(); len(p.Comments) != 1 || p.Comments[0].Message != "Hi" || p.Comments[0].Revision != 1 {
		t.Errorf("%+v", p.Comments)
	}
}

// TestPresence counts visitors who come, say nothing, and leave.
func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var feed fakeFeed
		ann := newForum(t, &feed)
		bo := &client{t: t, forum: ann.forum}
		attend := func(who *client, leaving bool, want string) {
			t.Helper()
			feed.payloads = nil
			who.ask("POST", "/api/threads/1/presence", fmt.Sprintf(`{"leaving":%t}`, leaving))
			got := strings.Join(feed.payloads, "")
			if want == "" && got != "" || want != "" && !strings.HasSuffix(got, `"event":"presence","forum":"demo","thread":1,"readers":`+want+"}") {
				t.Errorf("put %q, want %s readers", got, want)
			}
		}
		attend(ann, false, "1")
		attend(bo, false, "2")
		attend(ann, false, "")
		attend(bo, true, "1")
		attend(bo, true, "")
		attend(bo, false, "2")
		time.Sleep(away - time.Second)
		attend(ann, false, "")
		time.Sleep(2 * time.Second)
		if p := ann.page(); p.Readers != 1 {
			t.Errorf("%d readers", p.Readers)
		}
		attend(ann, false, "1") // and others are told, too
	})
}
