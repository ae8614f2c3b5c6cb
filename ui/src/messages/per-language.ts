import { languageTag } from './messages.js';

/** Returns the formatter of the current language. Creates each one once, because creating one is slow. */
export function perLanguage<T>(create: (language: string) => T): () => T {
  const made = new Map<string, T>();
  return () => {
    const language = languageTag();
    if (!made.has(language)) made.set(language, create(language));
    return made.get(language)!;
  };
}
