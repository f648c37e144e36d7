from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse


class Refusal(Exception):
    """An answer other than success, with a sentence for people."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class RefusalMiddleware:
    """Makes answers of refusals."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        if isinstance(exception, RequestDataTooBig):
            exception = Refusal(413, "The request is too large.")
        if isinstance(exception, Refusal):
            return text(exception.status, str(exception))
        return None


def text(status, sentence):
    return HttpResponse(sentence + "\n", status=status, content_type="text/plain; charset=utf-8")
