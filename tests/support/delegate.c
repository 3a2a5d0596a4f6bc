/* A TFLite delegate library for tests, behind the interface of external delegates.
 *
 * As it is, it takes part in no operation, so the answers are the CPU's. -DWRONG takes all operations
 * and computes nothing; -DABSENT has no device and gives no delegate; -DFOREIGN lacks the entry points.
 * The structs are the parts of TFLite's C interface that are used here, in its order. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct Context Context;
typedef struct Delegate Delegate;
typedef struct { int size; int data[]; } IntArray;

typedef struct {
  void *(*init)(Context *, const char *, size_t);
  void (*free)(Context *, void *);
  int (*prepare)(Context *, void *);
  int (*invoke)(Context *, void *);
  const char *(*profiling_string)(const Context *, const void *);
  int32_t builtin_code;
  const char *custom_name;
  int version;
  void *later[8]; /* Fields of later versions, all zero. */
} Registration;

struct Context {
  size_t tensors_size;
  int (*get_execution_plan)(Context *, IntArray **);
  void *tensors;
  void *impl;
  void *resize_tensor;
  void *report_error;
  void *add_tensors;
  void *get_node_and_registration;
  int (*replace_nodes)(Context *, Registration, const IntArray *, Delegate *);
};

struct Delegate {
  void *data;
  int (*prepare)(Context *, Delegate *);
  void *copy_from_buffer_handle;
  void *copy_to_buffer_handle;
  void *free_buffer_handle;
  int64_t flags;
  void *later[2];
};

#ifdef WRONG
static int do_nothing(Context *context, void *node) { return 0; }

static int prepare(Context *context, Delegate *delegate) {
  Registration registration = {.prepare = do_nothing, .invoke = do_nothing, .custom_name = "wrong", .version = 1};
  IntArray *plan;
  int status = context->get_execution_plan(context, &plan);
  return status ? status : context->replace_nodes(context, registration, plan, delegate);
}
#else
static int prepare(Context *context, Delegate *delegate) { return 0; }
#endif

#ifdef FOREIGN
int unrelated(void) { return prepare(NULL, NULL); }
#else
Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
#ifdef ABSENT
  report("no device found");
  return NULL;
#else
  Delegate *delegate = calloc(1, sizeof *delegate);
  delegate->prepare = prepare;
  return delegate;
#endif
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }
#endif
