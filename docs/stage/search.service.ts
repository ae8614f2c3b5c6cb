import { Injectable } from '@nestjs/common';

export class Doc {
  id: string;
  text: string;
}

@Injectable()
export class Search {
  /** Returns the documents that the search engine rejects. */
  async add(docs: readonly Doc[]): Promise<readonly { index: number; reason: string }[]> {
    const body = JSON.stringify(docs);
    const response = await fetch('https://search.example.org/docs', { method: 'POST', body });
    return (await response.json()) as { index: number; reason: string }[];
  }
}
