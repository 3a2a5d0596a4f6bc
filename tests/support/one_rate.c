// A sound card that knows one sample rate: ALSA devices opened under this library offer ONE_RATE alone.
#include <dlfcn.h>
#include <stdlib.h>

typedef int any_function(void *, void *);
typedef int set_rate_function(void *, void *, unsigned, int);

int snd_pcm_hw_params_any(void *pcm, void *params)
{
    void *alsa = dlopen("libasound.so.2", RTLD_LAZY);
    any_function *any = (any_function *) dlsym(alsa, "snd_pcm_hw_params_any");
    set_rate_function *set_rate = (set_rate_function *) dlsym(alsa, "snd_pcm_hw_params_set_rate");
    int result = any(pcm, params);
    if (result >= 0 && getenv("ONE_RATE") != NULL)
        result = set_rate(pcm, params, (unsigned) atoi(getenv("ONE_RATE")), 0);
    dlclose(alsa);
    return result;
}
