/* A TFLite delegate library for tests, behind the interface of external delegates.
 *
 * It takes the pooling operations of a network and has the CPU's own kernels compute them, so the answers are right.
 * The option `fault` has it do otherwise:
 *   nothing   takes no operation
 *   wrong     takes all operations and computes nothing
 *   refuse    has no device and gives no delegate
 *   abort, segfault, exit, hang               in the making
 *   run-abort, run-segfault, run-exit, run-hang   in the first inference
 *   late-abort, late-hang                     after LATE calls, long after it was proved
 *   slow      each inference takes 50 ms more
 * -DFAULT=... sets what it does without the option; -DLOAD_ABORT dies when it is loaded; -DFOREIGN lacks the entry
 * points. The structs are the parts of TFLite's C interface that are used here, in its order. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FAULT
#define FAULT ""
#endif
#ifndef LATE
#define LATE 150
#endif
#define POOLING 17 /* kTfLiteBuiltinMaxPool2d */

typedef struct Context Context;
typedef struct Delegate Delegate;
typedef struct { int size; int data[]; } IntArray;
typedef struct { void *fields[12]; } Node; /* Pointers to what the CPU's kernels need, copied as they stand. */

typedef struct {
  void *(*init)(Context *, const char *, size_t);
  void (*free)(Context *, void *);
  int (*prepare)(Context *, Node *);
  int (*invoke)(Context *, Node *);
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
  int (*get_node)(Context *, int, Node **, Registration **);
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

typedef struct { Delegate *delegate; IntArray *nodes; } Parameters; /* The beginning of TfLiteDelegateParams. */
typedef struct { int count; Node nodes[64]; int (*prepare[64])(Context *, Node *); int (*invoke[64])(Context *, Node *); } Taken;

static char fault[32] = FAULT;
static long calls;

static int is(const char *name) { return strcmp(fault, name) == 0; }

static void misbehave(const char *when) {
  size_t length = strlen(when);
  if (strncmp(fault, when, length) != 0) return;
  const char *how = fault + length;
  if (strcmp(how, "abort") == 0) abort();
  if (strcmp(how, "segfault") == 0) *(volatile int *)16 = 1;
  if (strcmp(how, "exit") == 0) exit(7);
  while (strcmp(how, "hang") == 0) sleep(1000);
}

static void *init(Context *context, const char *buffer, size_t length) {
  const IntArray *nodes = ((const Parameters *)buffer)->nodes;
  Taken *taken = calloc(1, sizeof *taken);
  if (is("wrong") || strncmp(fault, "run-", 4) == 0) return taken;
  taken->count = nodes->size < 64 ? nodes->size : 64;
  for (int i = 0; i < taken->count; i++) {
    Node *node;
    Registration *registration;
    context->get_node(context, nodes->data[i], &node, &registration);
    taken->nodes[i] = *node;
    taken->prepare[i] = registration->prepare;
    taken->invoke[i] = registration->invoke;
  }
  return taken;
}

static void release(Context *context, void *taken) { free(taken); }

/* `user_data`, what init returned, is the fifth pointer of a node. */
static Taken *taken_by(Node *node) { return node->fields[4]; }

static int prepare_node(Context *context, Node *node) {
  Taken *taken = taken_by(node);
  for (int i = 0; i < taken->count; i++)
    if (taken->prepare[i](context, &taken->nodes[i])) return 1;
  return 0;
}

static int invoke(Context *context, Node *node) {
  Taken *taken = taken_by(node);
  misbehave("run-");
  if (++calls > LATE) misbehave("late-");
  if (is("slow")) usleep(50000);
  for (int i = 0; i < taken->count; i++)
    if (taken->invoke[i](context, &taken->nodes[i])) return 1;
  return 0;
}

static int prepare(Context *context, Delegate *delegate) {
  Registration own = {.init = init, .free = release, .prepare = prepare_node, .invoke = invoke, .custom_name = "own", .version = 1};
  IntArray *plan, *chosen;
  if (is("nothing")) return 0;
  if (context->get_execution_plan(context, &plan)) return 1;
  chosen = malloc(sizeof(int) * (plan->size + 1));
  chosen->size = 0;
  for (int i = 0; i < plan->size; i++) {
    Node *node;
    Registration *registration;
    if (context->get_node(context, plan->data[i], &node, &registration)) return 1;
    if (registration->builtin_code == POOLING || is("wrong") || strncmp(fault, "run-", 4) == 0)
      chosen->data[chosen->size++] = plan->data[i];
  }
  return context->replace_nodes(context, own, chosen, delegate);
}

#ifdef LOAD_ABORT
__attribute__((constructor)) static void die(void) { abort(); }
#endif

#ifdef FOREIGN
int unrelated(void) { return prepare(NULL, NULL); }
#else
Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(keys[i], "fault") == 0) strncpy(fault, values[i], sizeof fault - 1);
  misbehave("");
  if (is("refuse")) {
    report("no device found");
    return NULL;
  }
  Delegate *delegate = calloc(1, sizeof *delegate);
  delegate->prepare = prepare;
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }
#endif
