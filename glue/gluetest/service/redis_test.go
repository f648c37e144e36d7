package service_test

import (
	"testing"

	"pushglue/glue/gluetest/service"
)

func TestRedisKeepsWhatItIsTold(t *testing.T) {
	tests := []struct {
		name string
		args []string
		stop func(*service.Redis)
		want string
	}{
		{"nothing", nil, (*service.Redis).Stop, ""},
		{"everything", []string{"--appendonly", "yes", "--appendfsync", "always"}, (*service.Redis).Kill, "value"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := service.StartRedis(t, test.args...)
			rdb := server.Client(t)
			if err := rdb.Set(t.Context(), "key", "value", 0).Err(); err != nil {
				t.Fatal(err)
			}
			test.stop(server)
			if err := rdb.Ping(t.Context()).Err(); err == nil {
				t.Error("a stopped server answers")
			}
			test.stop(server)
			server.Start()
			if got := rdb.Get(t.Context(), "key").Val(); got != test.want {
				t.Errorf("the server kept %q, want %q", got, test.want)
			}
		})
	}
}
